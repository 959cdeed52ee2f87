"""What all apps do: ask a model through the gateway in `OPENAI_BASE_URL`."""

from __future__ import annotations

from openai import OpenAI

# Made on import, before gunicorn and Celery fork their workers, as in most apps.
CLIENT = OpenAI(max_retries=0)


def ask(question: str) -> str:
    """Return the model's answer."""
    messages = [{"role": "user", "content": question}]
    answer = CLIENT.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    return answer.choices[0].message.content or ""
