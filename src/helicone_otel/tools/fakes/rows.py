"""What Helicone derives from the bodies of a request and its response: model, tokens, badge, and the traps in them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeAlias

from .headers import as_text

_MODEL_IN_URL: Final = re.compile(r"/(?:models|engines|model)/([^/?:]+)")
_ASSISTANT: Final = ("assistant_id", "thread_id", "metadata")
_RUNNING: Final = ("queued", "in_progress")
_BADGES: Final = (("vector_db", "VectorDB"), ("tool:", "Tool"), ("data:", "Data"))
_PROMPT: Final = ("prompt_tokens", "input_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
_UNDEFINED: Final = "undefined"


def response_of(request: Any, text: str | None, body: Any) -> Any:
    """Return the response that is stored: a text goes before a body, and must be what the request asked for."""
    streamed = isinstance(request, Mapping) and request.get("stream") is True
    if text:
        return _streamed(text) if streamed else _parsed(text)
    return _unreadable(body) if streamed and body else body


def model_of(url: str, request: Any, response: Any, override: str = "") -> str:
    """Return the model that is stored."""
    request, response = _mapping(request), _mapping(response)
    named = _text(response.get("model")) or _requested_model(request) or _model_in_url(url)
    return override or _assistant(response, named) or _typed_model(response) or named


def _requested_model(request: Mapping[str, Any]) -> str:
    match request.get("_type"):
        case "vector_db":
            return "vector_db"
        case "tool":
            return f"tool:{_named(request, 'toolName')}"
        case _:
            return _text(request.get("model"))


def _typed_model(response: Mapping[str, Any]) -> str:
    match response.get("_type"):
        case "vector_db":
            return "vector_db"
        case "tool":
            return f"tool:{_named(response, 'toolName')}"
        case "data":
            return f"data:{_named(response, 'name')}"
        case _:
            return ""


def _assistant(response: Mapping[str, Any], named: str) -> str:
    """Return the model of what Helicone takes for a call of OpenAI's assistants, or nothing."""
    data = response.get("data")
    first = _mapping(data[0]) if isinstance(data, list) and data else {}
    if not any(key in response for key in _ASSISTANT) and "assistant_id" not in first:
        return ""
    if response.get("status") in _RUNNING:
        return "assistant-polling"
    return "" if named else "assistant-call"


def _model_in_url(url: str) -> str:
    found = _MODEL_IN_URL.search(url)
    return found[1] if found else ""


def tokens_of(provider: str, response: Any) -> tuple[int, int]:
    """Return the tokens of prompt and completion."""
    response = _mapping(response)
    usage = _usage(response)
    if provider == "GOOGLE" and (google := _mapping(response.get("usageMetadata"))):
        return _count(google, "promptTokenCount"), _count(google, "candidatesTokenCount")
    return (
        _count(usage, *_PROMPT) or _count(response, "prompt_token_count"),
        _count(usage, *_COMPLETION) or _count(response, "generation_token_count"),
    )


def _usage(response: Mapping[str, Any]) -> Mapping[str, Any]:
    chunks = response.get("streamed_data")
    parts = [response, *(chunks if isinstance(chunks, list) else ())]
    # Anthropic's streams say the one half at their start, in the message, and the other at their end.
    holders = [holder for part in parts for holder in (_mapping(_mapping(part).get("message")), _mapping(part))]
    return {key: value for holder in holders for key, value in _mapping(holder.get("usage")).items()}


def badge(model: str, response: Any) -> str:
    """Return what a row is shown as."""
    if any(_mapping(message).get("tool_calls") for message in _messages(response)):
        return "Tool"
    return next((shown for start, shown in _BADGES if model.startswith(start)), "LLM")


def error_message(response: Any) -> str | None:
    """Return the message that makes a row an error, whatever its status."""
    return _text(_mapping(_mapping(response).get("error")).get("message")) or None


def flaws(model: str, request: Any, response: Any) -> list[str]:
    """Return what would be drawn otherwise than it was meant, as sentences."""
    return list(_flaws(model, _mapping(request), _mapping(response)))


def _flaws(model: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> Iterator[str]:
    if "helicone_error" in response:
        yield f"the response cannot be read: {response.get('parse_response_error')}"
    if model.startswith("assistant-"):
        yield f"Helicone takes it for a call of OpenAI's assistants and stores the model {model}"
    if model.endswith(f":{_UNDEFINED}"):
        yield f"the response does not repeat the name, so it is shown as {model}"
    if "_type" in request and request["_type"] != response.get("_type"):
        yield f"the response does not repeat the type {request['_type']!r}"
    for key in ("matches", "results"):
        entries = response.get(key)
        scores = [_mapping(entry).get("score", 0) for entry in entries] if isinstance(entries, list) else []
        if response.get("_type") == "vector_db" and not all(_is_number(score) for score in scores):
            yield f"a score among the {key} is no number, so the row falls back to raw JSON"


def _messages(response: Any) -> Iterator[Any]:
    choices = _mapping(response).get("choices")
    if isinstance(choices, list):
        yield from (_mapping(choice).get("message") for choice in choices)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _unreadable(text)


def _streamed(text: str) -> Any:
    """Read server-sent events; the model and the tokens stand in them."""
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    try:
        chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    except ValueError:
        return _unreadable(text)
    if not chunks:
        return _unreadable(text)
    model = next(filter(None, map(_model_in, chunks)), None)
    return {**({"model": model} if model else {}), "streamed_data": chunks}


def _model_in(chunk: Any) -> str:
    return _text(_mapping(chunk).get("model")) or _text(_mapping(_mapping(chunk).get("message")).get("model"))


def _unreadable(body: Any) -> dict[str, Any]:
    reason = "it is neither a stream nor JSON, whichever the request asked for"
    return {"helicone_error": "error parsing response", "parse_response_error": reason, "body": body}


def _named(body: Mapping[str, Any], key: str) -> str:
    return as_text(body[key]) if key in body else _UNDEFINED


def _count(usage: Mapping[str, Any], *keys: str) -> int:
    return next((int(usage[key]) for key in keys if _is_number(usage.get(key))), 0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


MAX_ROWS: Final = 100_000
# Of their bodies, as they were sent.
MAX_BYTES: Final = 256 * 2**20
_SUCCESS: Final = 200

_Place: TypeAlias = tuple[str, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One request as Helicone stores it.

    Attributes:
        id: The `Helicone-Request-Id` that was sent if it is a UUID of version 1 to 5, else a random one.
        door: By which it came: `gateway`, `log` or `otlp`.
        provider: Such as `OPENAI`; `CUSTOM` for what came by `/custom/v1/log`.
        model: As Helicone derives it: `vector_db`, `tool:<name>` and `data:<name>` for what is no model's.
        path: The path of the request, or the URL that a log gives.
        started: Milliseconds since the epoch, as is `ended`.
        user_id: Empty if there is none.
        properties: Session id, path and name under Helicone's own names, others under theirs in lower case.
        request: The body of the request.
        response: The body of the response.
        time_to_first_token: Milliseconds; `None` where Helicone does not keep it.
        organization: Whose key it came with.
        sends: How often it was sent.
    """

    id: str
    door: str
    provider: str
    model: str
    status: int
    path: str
    started: int
    ended: int
    user_id: str
    properties: Mapping[str, str]
    request: Any = field(repr=False)
    response: Any = field(repr=False)
    time_to_first_token: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    organization: str = "default"
    sends: int = 1

    @property
    def session_id(self) -> str | None:
        """The id of its session; `None` if its request named none."""
        return self.properties.get("Helicone-Session-Id")

    @property
    def session_path(self) -> str:
        """Where it stands in the session; without a path, at the root."""
        return self.properties.get("Helicone-Session-Path", "/")

    @property
    def session_name(self) -> str:
        """The session's name; empty for one that has none."""
        return self.properties.get("Helicone-Session-Name", "")

    @property
    def badge(self) -> str:
        """What Helicone shows it as: `LLM`, `Tool`, `VectorDB` or `Data`."""
        return badge(self.model, self.response)

    @property
    def failed(self) -> bool:
        """Whether Helicone shows it as an error; 0 is one that still runs."""
        return self.status not in (_SUCCESS, 0) or error_message(self.response) is not None

    @property
    def flaws(self) -> list[str]:
        """What Helicone would draw otherwise than it was meant, as sentences."""
        return flaws(self.model, self.request, self.response)


class _Entry(NamedTuple):
    row: Row
    since: float
    size: int


class Store:
    """The rows, the oldest first: bounded, and safe to use from many threads.

    A row that is sent again replaces the first one only if provider, model, user and start are the same
    too: ClickHouse takes these for the row's key.

    Attributes:
        lag: Seconds until a query sees what was stored; Helicone's queue takes its time, too.
        forgotten: How many rows were pushed out by newer ones.
        tags: Of sessions, by organisation and id.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.lag = 0.0
        self.forgotten = 0
        self.tags: dict[tuple[str, str], str] = {}
        self._max_rows = max_rows
        self._rows: OrderedDict[_Place, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, rows: Iterable[Row], size: int = 0) -> None:
        """Store rows, each in the place of the one that it is sent again for.

        Args:
            rows: The rows.
            size: How long the request was that brought them.
        """
        with self._lock:
            for row in rows:
                before = self._rows.get(_place(row))
                since = before.since if before else time.monotonic()
                sends = before.row.sends + 1 if before else 1
                self._bytes += size - (before.size if before else 0)
                self._rows[_place(row)] = _Entry(replace(row, sends=sends), since, size)
            while len(self._rows) > self._max_rows or self._bytes > MAX_BYTES:
                self._bytes -= self._rows.popitem(last=False)[1].size
                self.forgotten += 1

    def forget(self) -> None:
        """Forget all rows and tags, and be as quick as at first."""
        with self._lock:
            self._rows.clear()
            self.tags.clear()
            self._bytes, self.forgotten, self.lag = 0, 0, 0.0

    def rows(self, organization: str | None = None) -> list[Row]:
        """Return what is stored, of all organisations or of one."""
        with self._lock:
            return [entry.row for entry in self._rows.values() if organization in (None, entry.row.organization)]

    def ingested(self, organization: str) -> list[Row]:
        """Return what a query of an organisation sees by now."""
        latest = time.monotonic() - self.lag
        with self._lock:
            return [
                entry.row
                for entry in self._rows.values()
                if entry.since <= latest and entry.row.organization == organization
            ]

    def change(self, organization: str, request_id: str, name: str, value: str) -> bool:
        """Set a property of all rows of an id; tell whether there is one."""
        with self._lock:
            places = [place for place in self._rows if place[:2] == (organization, request_id)]
            for place in places:
                entry = self._rows[place]
                row = replace(entry.row, properties={**entry.row.properties, name: value})
                self._rows[place] = entry._replace(row=row)
        return bool(places)


def _place(row: Row) -> _Place:
    return row.organization, row.id, row.provider, row.model, row.user_id, row.started
