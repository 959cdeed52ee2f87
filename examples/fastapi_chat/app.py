"""A chat with FastAPI. Each conversation is one session, however many requests it has."""

import os
from collections import defaultdict
from typing import Annotated

from fastapi import Body, FastAPI
from openai import AsyncOpenAI

from helicone_otel import session

app = FastAPI()
client = AsyncOpenAI(default_headers={"Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}"})
conversations: defaultdict[str, list[dict[str, str]]] = defaultdict(list)


@app.post("/chat/{conversation}")
async def chat(conversation: str, message: Annotated[str, Body(embed=True)]) -> dict[str, str]:
    """Answer one message of a conversation."""
    messages = conversations[conversation]
    messages.append({"role": "user", "content": message})
    with session("Support Chat", id=conversation):
        answer = await client.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    messages.append({"role": "assistant", "content": answer.choices[0].message.content or ""})
    return {"answer": messages[-1]["content"]}
