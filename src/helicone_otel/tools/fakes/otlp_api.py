"""Helicone's doors for OTLP, and what it makes of spans there: one row each, and much of it lost.

A row has no span id, so what is sent twice is there twice; parents, events, status and all attributes but
texts and whole numbers are gone.
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from . import bodies
from .jawn_api import UNKNOWN_PATH
from .log_api import UncaughtError, parsed
from .requests import JSON_TYPE, ApiResult, Reply, Request, refused
from .rows import Row

JSON_PATH: Final = "/v1/trace/log"
PROTOBUF_PATH: Final = "/v1/trace/log-python"

Attributes = Mapping[str, str]

_HELICONE: Final = "traceloop.association.properties.Helicone-"
_USER: Final = f"{_HELICONE}User-Id"
_NS_IN_MS: Final = 1_000_000
_INVENTED_MAX_TOKENS: Final = 50
# The schema wants these even where OTLP leaves them out because they are zero.
_REQUIRED: Final = {
    "resource": ("attributes", "droppedAttributesCount"),
    "scope": ("name", "version"),
    "span": (
        *("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes"),
        *("droppedAttributesCount", "events", "droppedEventsCount", "status", "links", "droppedLinksCount"),
    ),
    "status": ("code",),
}


def receive_json(request: Request, organization: str) -> ApiResult:
    """Take `ExportTraceServiceRequest` as JSON in which nothing is left out."""
    body = parsed(_plain(request)) if _is_json(request) else {}
    if missing := next(_missing(body), None):
        return refused(400, f"Validation failed: {missing} is required")
    return _received(body, organization)


def receive_protobuf(request: Request, organization: str) -> ApiResult:
    """Take `TracesData` as protobuf; JSON never gets as far as the decoder."""
    try:
        data = TracesData.FromString(b"" if _is_json(request) else _plain(request))
    except (DecodeError, OSError, EOFError):
        return ApiResult(Reply(500))
    return ApiResult(Reply(500)) if _is_json(request) else _received(MessageToDict(data), organization)


def _received(body: Mapping[str, Any], organization: str) -> ApiResult:
    rows: list[Row] = []
    try:
        for span in _spans(body):
            rows.append(_row(span, organization))  # noqa: PERF401  # those before an error stay
    except (UncaughtError, ValueError, TypeError, KeyError):
        return ApiResult(Reply(500), tuple(rows))
    return ApiResult(Reply(200), tuple(rows))


def _spans(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for of_resource in body.get("resourceSpans", ()):
        for of_scope in of_resource.get("scopeSpans", ()):
            yield from of_scope.get("spans", ())


def _row(span: Mapping[str, Any], organization: str) -> Row:
    attributes = dict(_texts(span.get("attributes", ())))
    # Protobuf leaves out what is zero.
    started, ended = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    request, response = _request(attributes), _response(attributes)
    usage = response["usage"]
    return Row(
        id=str(uuid.uuid4()),
        door="otlp",
        provider=attributes.get("gen_ai.system", "").upper(),
        model=bodies.model_of("", request, response),
        status=200,
        path=UNKNOWN_PATH,
        started=started // _NS_IN_MS,
        ended=started // _NS_IN_MS + (ended - started) // _NS_IN_MS,
        user_id=attributes.get(_USER) or attributes.get("llm.user", ""),
        properties=_properties(attributes),
        request=request,
        response=response,
        prompt_tokens=int(usage["prompt_tokens"] or 0),
        completion_tokens=int(usage["completion_tokens"] or 0),
        organization=organization,
    )


def _texts(attributes: Any) -> Iterator[tuple[str, str]]:
    """Yield the attributes that are texts or whole numbers; Helicone loses the others."""
    for attribute in attributes:
        value = attribute.get("value", {})
        kept = value.get("stringValue", value.get("intValue"))
        if kept is not None:
            yield attribute["key"], str(kept)


def _properties(attributes: Attributes) -> dict[str, str]:
    named = {
        key.removeprefix(_HELICONE): value
        for key, value in attributes.items()
        if key.startswith(_HELICONE) and key != _USER
    }
    # Beside those by header, the names of properties keep their case.
    return {
        name.removeprefix("Property-") if name.startswith("Property-") else f"Helicone-{name}": value
        for name, value in named.items()
    }


def _request(attributes: Attributes) -> dict[str, Any]:
    prompts = _numbered(attributes, "gen_ai.prompt")
    return {
        "model": attributes.get("gen_ai.response.model"),
        "messages": [{"role": prompt["role"], "content": prompt.get("content")} for prompt in prompts],
        "n": len(_numbered(attributes, "gen_ai.completion")),
        "temperature": 1,
        "stream": False,
        "max_tokens": int(attributes.get("gen_ai.response.max_tokens", _INVENTED_MAX_TOKENS)),
    }


def _response(attributes: Attributes) -> dict[str, Any]:
    completions = _numbered(attributes, "gen_ai.completion")
    return {
        "object": attributes.get("llm.request.type"),
        "choices": [
            {
                "index": index,
                "message": {"role": completion["role"], "content": completion.get("content")},
                "finish_reason": completion.get("finish_reason"),
            }
            for index, completion in enumerate(completions)
        ],
        "usage": {
            "prompt_tokens": attributes.get("gen_ai.usage.prompt_tokens"),
            "completion_tokens": attributes.get("gen_ai.usage.completion_tokens"),
            "total_tokens": attributes.get("llm.usage.total_tokens"),
        },
    }


def _numbered(attributes: Attributes, start: str) -> list[dict[str, str]]:
    """Return what stands under `<start>.<number>.`, as far as there are roles."""
    entries: dict[int, dict[str, str]] = {}
    for key, value in attributes.items():
        number, dot, name = key.removeprefix(f"{start}.").partition(".")
        if key.startswith(f"{start}.") and dot and number.isdecimal():
            entries.setdefault(int(number), {})[name] = value
    return [entries[number] for number in sorted(entries) if "role" in entries[number]]


def _missing(body: Any) -> Iterator[str]:
    if not isinstance(body, Mapping) or not isinstance(body.get("resourceSpans"), list):
        yield "resourceSpans"
        return
    for of_resource in body["resourceSpans"]:
        yield from _lacks(of_resource.get("resource", {}), "resource")
        for of_scope in of_resource.get("scopeSpans", ()):
            yield from _lacks(of_scope.get("scope", {}), "scope")
            for span in of_scope.get("spans", ()):
                yield from _lacks(span, "span")
                yield from _lacks(span["status"], "status")


def _lacks(part: Mapping[str, Any], name: str) -> Iterator[str]:
    yield from (f"{name}.{field}" for field in _REQUIRED[name] if field not in part)


def _is_json(request: Request) -> bool:
    return (request.header("Content-Type") or "").partition(";")[0].strip() == JSON_TYPE


def _plain(request: Request) -> bytes:
    return gzip.decompress(request.body) if request.header("Content-Encoding") == "gzip" else request.body
