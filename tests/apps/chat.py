"""A chat with FastAPI. Each turn is a request, with the id of the conversation in a header."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from model import ask
from openai import AsyncOpenAI
from opentelemetry import trace

app = FastAPI()


@app.middleware("http")
async def set_attributes(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Set attributes after the span has started, as the authentication of an app does."""
    span = trace.get_current_span()
    for attribute, header in (("app.conversation", "X-Chat"), ("app.user", "X-User"), ("app.plan", "X-Plan")):
        if value := request.headers.get(header):
            span.set_attribute(attribute, value)
    return await call_next(request)


@app.post("/chat")
def turn() -> dict[str, str | int]:
    """Answer one turn."""
    return {"answer": ask("And then?"), "pid": os.getpid()}


@app.post("/chat/stream")
async def streamed_turn() -> StreamingResponse:
    """Answer one turn as a stream; the LLM is called after the response has started."""

    async def answer() -> AsyncIterator[str]:
        messages = [{"role": "user", "content": "And then?"}]
        stream = await AsyncOpenAI().chat.completions.create(model="gpt-5.4-mini", messages=messages, stream=True)
        async for chunk in stream:
            yield chunk.choices[0].delta.content or ""

    return StreamingResponse(answer())
