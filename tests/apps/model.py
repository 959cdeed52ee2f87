"""The one thing that all apps do: ask a model, through whatever gateway the environment names."""

from __future__ import annotations

from openai import OpenAI

# Made when the app is loaded, as apps do: before gunicorn and Celery fork their workers.
CLIENT = OpenAI(max_retries=0)


def ask(question: str) -> str:
    """Return the model's answer."""
    messages = [{"role": "user", "content": question}]
    answer = CLIENT.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    return answer.choices[0].message.content or ""
