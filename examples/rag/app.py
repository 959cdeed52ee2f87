"""Answer a question from documents: embed them, search them in Qdrant, and ask a model."""

import os

from openai import OpenAI
from qdrant_client import QdrantClient, models

from helicone_otel import configure, session, step

configure()
client = OpenAI(default_headers={"Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}"})
store = QdrantClient(":memory:")
DOCUMENTS = (
    "The Clerigos tower in Porto has 240 steps.",
    "Tram 1 runs along the river, from Infante to Passeio Alegre.",
    "Most museums in Porto are closed on Mondays.",
)


def embed(*texts: str) -> list[list[float]]:
    """Return the vector of each text."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=list(texts))
    return [item.embedding for item in answer.data]


def index() -> None:
    """Put the documents into the store."""
    vectors = embed(*DOCUMENTS)
    store.create_collection("guide", models.VectorParams(size=len(vectors[0]), distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=number, vector=vector, payload={"text": text})
        for number, (vector, text) in enumerate(zip(vectors, DOCUMENTS, strict=True))
    ]
    store.upsert("guide", points)


def answer(question: str) -> str:
    """Answer a question from the documents that fit best."""
    with step("retrieve"):
        found = store.query_points("guide", query=embed(question)[0], limit=2).points
    context = "\n".join(point.payload["text"] for point in found if point.payload)
    messages = [{"role": "user", "content": f"{context}\n\nQuestion: {question}"}]
    completion = client.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    return completion.choices[0].message.content or ""


with session("City Guide"):
    with step("index"):
        index()
    with step("answer"):
        print(answer("How many steps does the tower have?"))
