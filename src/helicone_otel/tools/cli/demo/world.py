"""The servers of the demo on loopback: a fake Helicone with models behind its gateway, and a town.

The models make their answers of what they are sent, after the checks that the real providers make. The town has a
weather report and a timetable, and counts the operations of the vector store. It is not a Helicone gateway, so no
`Helicone-*` header may arrive there.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from ...fakes.headers import new_key
from ...fakes.loopback import AnsweringServer
from ...fakes.provider import Body, ModelAnswer, endpoint_of, error_reply, fault_of, model_reply
from ...fakes.requests import JSON_TYPE, ApiResult, Reply, Request, Trouble, in_text
from ...fakes.server import FakeHelicone

WITNESS_PATH: Final = "/witness"
_WEATHER: Final = {"Porto": "Sun on both days, 19 degrees; wind from the sea."}
_DEPARTURES: Final = {("Lisbon", "Porto"): "17:39 from platform 2", ("Porto", "Lisbon"): "18:52 from platform 4"}
# What a plan makes of the pages of a guide, by words of the page.
_SIGHTS: Final = {
    "Livraria Lello": "Livraria Lello at half past nine",
    "port lodges": "the port lodges of Gaia",
    "Tram 1": "tram 1 along the river to Foz",
}
_TRAIN: Final = re.compile(r"\d\d:\d\d from platform \d+")
_JOURNEYS: Final = ({"origin": "Lisbon", "destination": "Porto"}, {"origin": "Porto", "destination": "Lisbon"})
# The first request with these words is answered 429.
_OVERLOADED: Final = "name the city"
_TOO_MANY: Final = 429
_RETRY_AFTER: Final = ("Retry-After-Ms", "40")
_MAX_BODY: Final = 1024 * 1024
_DIMENSIONS: Final = 64
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})


def demo_helicone() -> FakeHelicone:
    """Return a fake Helicone with the demo's models behind its gateway; all of them accept one key."""
    key = new_key()
    return FakeHelicone(DemoModels(key), key=key)


class Town(AnsweringServer):
    """Answers the requests of the agent and of `witness.py` that do not go to a model, and counts them."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._leaked: set[str] = set()
        self._lock = threading.Lock()
        super().__init__()

    @property
    def asked(self) -> dict[str, int]:
        """The number of requests by path. A request for `/witness/upsert` is one upsert that reached the store."""
        with self._lock:
            return dict(self._asked)

    @property
    def leaked(self) -> set[str]:
        """The `Helicone-*` headers that arrived and should not have."""
        with self._lock:
            return set(self._leaked)

    def answer(self, request: Request) -> tuple[ApiResult, Trouble]:
        """Count a request, and answer it."""
        path, _, query = request.path.partition("?")
        with self._lock:
            self._asked[path] += 1
            self._leaked |= {name for name, _ in request.headers if name.lower().startswith("helicone-")}
        report = "" if path.startswith(f"{WITNESS_PATH}/") else _report(path, parse_qs(query))
        return ApiResult(in_text(404, "") if report is None else in_text(200, report)), Trouble()


def _report(path: str, query: Mapping[str, Sequence[str]]) -> str | None:
    """Return the weather or the next train; `None` if the town knows nothing of that."""
    if path == "/weather":
        return _WEATHER.get("".join(query.get("city", ())))
    if path == "/departures":
        return _DEPARTURES.get(("".join(query.get("origin", ())), "".join(query.get("destination", ()))))
    return None


class _ModelRefusedError(Exception):
    """A request that the provider does not accept.

    Args:
        status: The HTTP status.
        code: The provider's name of the error.
        message: For people.
        param: The field of the request that is wrong, if one is.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        self.status, self.code, self.message, self.param = status, code, message, param
        super().__init__(message)


class DemoModels:
    """Both providers, with one model for each endpoint.

    Args:
        key: The only API key that they accept.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._was_overloaded = False
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        try:
            return self._answer(request)
        except _ModelRefusedError as refused:
            headers = (_RETRY_AFTER,) if refused.status == _TOO_MANY else ()
            return error_reply(
                request.path, refused.status, refused.message, *headers, code=refused.code, param=refused.param
            )

    def refusal(self, path: str, status: int, message: str) -> Reply:
        """Return an error as the provider at this path writes it."""
        return error_reply(path, status, message, code="invalid_request_error")

    def _answer(self, request: Request) -> Reply:
        body = _body(request)
        self._authenticate(request)
        self._throttle(body)
        endpoint, api = endpoint_of(request.path), _APIS.get(request.path)
        if endpoint is None or api is None:
            raise _ModelRefusedError(404, "unknown_url", "Invalid URL: there is no such endpoint.")
        if fault := fault_of(endpoint, request):
            raise _invalid(fault)
        _check_fields({**api.optional, **endpoint.required}, body)
        if body["model"] != api.model:
            message = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise _ModelRefusedError(404, api.unknown_model, message, "model")
        seconds = api.streamed if body.get("stream") else api.seconds
        answer = replace(api.answer(body), id=uuid.uuid4().hex, created=int(time.time()), seconds=seconds)
        return model_reply(endpoint, body, answer)

    def _authenticate(self, request: Request) -> None:
        key = request.header("X-Api-Key") or (request.header("Authorization") or "").removeprefix("Bearer ")
        if not secrets.compare_digest(key.encode(), self._key.encode()):
            raise _ModelRefusedError(401, "authentication_error", "Incorrect API key provided.")

    def _throttle(self, body: Body) -> None:
        with self._lock:
            if self._was_overloaded or _OVERLOADED not in json.dumps(body).lower():
                return
            self._was_overloaded = True
        raise _ModelRefusedError(_TOO_MANY, "rate_limit_exceeded", "Rate limit reached. Please try again in 40ms.")


def _body(request: Request) -> dict[str, Any]:
    if len(request.body) > _MAX_BODY:
        raise _ModelRefusedError(413, "request_too_large", "The request is too long.")
    try:
        body = request.json
    except ValueError:
        body = None
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip()
    if not isinstance(body, dict) or content_type != JSON_TYPE:
        raise _invalid("We could not parse the JSON body of your request.")
    return body


def _check_fields(fields: Mapping[str, type | tuple[type, ...]], body: Body) -> None:
    for name, value in body.items():
        if name not in fields:
            raise _invalid(f"Unknown parameter: '{name}'.", name)
        if not isinstance(value, fields[name]) or (fields[name] is int and isinstance(value, bool)):
            raise _invalid(f"'{name}' is of the wrong type.", name)


def _chat_answer(body: Body) -> ModelAnswer:
    messages = _objects(body, "messages")
    _check_chat(messages)
    prompt = "\n".join(str(message.get("content") or "") for message in messages)
    answer = replace(_text_answer(prompt), model=f"{body['model']}-2026-03-17")
    tools = _objects(body, "tools")
    if not tools or messages[-1]["role"] == "tool":
        return answer
    function = tools[0].get("function")
    if not isinstance(function, dict) or not function.get("name"):
        raise _invalid("Missing required parameter: 'tools[0].function.name'.", "tools")
    calls = tuple(_tool_call(function["name"], journey) for journey in _JOURNEYS)
    return replace(answer, tool_calls=calls, completion_tokens=_tokens(json.dumps(calls)))


def _tool_call(name: str, arguments: Body) -> Body:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call-{uuid.uuid4().hex}", "type": "function", "function": function}


def _check_chat(messages: Sequence[Body]) -> None:
    call_ids: set[object] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise _invalid(f"Invalid role {role!r}.", f"messages[{index}].role")
        if role == "tool" and message.get("tool_call_id") not in call_ids:
            raise _invalid("A 'tool' message must answer a preceding 'tool_calls'.", f"messages[{index}].tool_call_id")
        if not isinstance(message.get("content"), str | list) and not message.get("tool_calls"):
            raise _invalid("A message needs 'content'.", f"messages[{index}].content")
        call_ids |= {call.get("id") for call in _objects(message, "tool_calls")}


def _message_answer(body: Body) -> ModelAnswer:
    turns = _objects(body, "messages")
    if turns[0].get("role") != "user":
        raise _invalid("messages: first message must use the user role")
    for index, turn in enumerate(turns):
        if turn.get("role") not in ("user", "assistant"):
            raise _invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        if not turn.get("content") or not isinstance(turn["content"], str | list):
            raise _invalid(f"messages.{index}.content: Field required")
    return _text_answer("\n".join(str(turn["content"]) for turn in turns))


def _embedding_answer(body: Body) -> ModelAnswer:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise _invalid("'input' must be a text or a list of texts, none of them empty.", "input")
    return ModelAnswer(vectors=tuple(map(_vector, texts)), prompt_tokens=sum(map(_tokens, texts)))


class _Api(NamedTuple):
    """One endpoint as this demo has it.

    Attributes:
        model: The only model there is.
        unknown_model: The provider's name of the error for any other model.
        optional: The fields that a request may have beside the required ones, with their types.
        answer: Makes the model's answer to a body, or raises `_ModelRefusedError`.
        seconds: How long a whole answer takes.
        streamed: How long a stream takes.
    """

    model: str
    unknown_model: str
    optional: Mapping[str, type]
    answer: Callable[[Body], ModelAnswer]
    seconds: float
    streamed: float


_CHAT_FIELDS: Final = {"stream": bool, "stream_options": dict, "tools": list, "user": str}
_EMBEDDING_FIELDS: Final = {"encoding_format": str, "dimensions": int, "user": str}
_MESSAGE_FIELDS: Final = {"stream": bool, "system": object, "metadata": dict}
_APIS: Final = {
    "/v1/chat/completions": _Api("gpt-5.4-mini", "model_not_found", _CHAT_FIELDS, _chat_answer, 0.15, 0.3),
    "/v1/embeddings": _Api(
        "text-embedding-3-small", "model_not_found", _EMBEDDING_FIELDS, _embedding_answer, 0.06, 0.06
    ),
    "/v1/messages": _Api("claude-sonnet-5", "not_found_error", _MESSAGE_FIELDS, _message_answer, 0.3, 0.45),
}


def _trains(prompt: str) -> str:
    """Return the answer about trains: what the tool said of the way out and of the way back."""
    out, back, *_ = [*_TRAIN.findall(prompt), "an unknown time", "an unknown time"]
    return f"Out on Friday at {out}, back on Sunday at {back}."


def _plan(prompt: str) -> str:
    """Return a plan of the sights, the trains and the weather that the prompt tells of."""
    out, back, *_ = [*_TRAIN.findall(prompt), "an unknown time", "an unknown time"]
    first, second, *_ = [*(sight for words, sight in _SIGHTS.items() if words in prompt), "the town", "the town"]
    weather = next((report for report in _WEATHER.values() if report in prompt), "No report of the weather.")
    return (
        f"Friday: train at {out}. Saturday: {first}. Sunday: {second}, and home by the train at {back}. "
        f"Weather: {weather}"
    )


def _review(prompt: str) -> str:
    """Return the plan with what the review adds."""
    plan = prompt.partition("\n")[2]
    return plan.replace("home by the train", "home by the train (book a seat)")


def _fixed(text: str, _prompt: str) -> str:
    return text


# Answers by words of the prompt. The first whose words occur counts.
_REPLIES: Final[Sequence[tuple[str, Callable[[str], str]]]] = (
    ("name the city", partial(_fixed, "Porto")),
    ("review this plan", _review),
    ("bicycle", partial(_fixed, "Yes: on Intercidades trains, with a reserved bicycle place.")),
    ("plan two days", _plan),
    ("find trains", _trains),
)


def _text_answer(prompt: str) -> ModelAnswer:
    reply = next((reply for words, reply in _REPLIES if words in prompt.lower()), None)
    text = reply(prompt) if reply else "I would rather not say."
    pieces = tuple(f"{word} " for word in text.split())
    return ModelAnswer(text, pieces, prompt_tokens=_tokens(prompt), completion_tokens=_tokens(text))


def _vector(text: str) -> list[float]:
    """Return a vector of length 1; texts that share words have similar directions."""
    vector = [0.0] * _DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % _DIMENSIONS] += 1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def _tokens(text: str) -> int:
    """Return roughly what a tokenizer counts."""
    return max(1, len(text) // 4)


def _objects(body: Body, name: str) -> list[Body]:
    """Return a field that must be a list of objects; an empty list if it is missing."""
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _invalid(f"'{name}' must be a list of objects.", name)
    return value


def _invalid(message: str, param: str | None = None) -> _ModelRefusedError:
    return _ModelRefusedError(400, "invalid_request_error", message, param)
