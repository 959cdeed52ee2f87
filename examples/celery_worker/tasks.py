"""A Celery worker. Its tasks continue the session of the process that sent them."""

import os
from pathlib import Path

from celery import Celery
from openai import OpenAI

QUEUE = Path(__file__).with_name("queue")  # a folder is the broker here, so that the example needs no server
QUEUE.mkdir(exist_ok=True)

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": str(QUEUE), "data_folder_out": str(QUEUE)}
client = OpenAI(default_headers={"Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}"})


@app.task
def book_hotel(city: str) -> None:
    """Ask the model which hotel to book."""
    messages = [{"role": "user", "content": f"Which hotel in {city}?"}]
    answer = client.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    print(answer.choices[0].message.content)
