"""Helicone's two endpoints for OTLP, imitated with their losses: one row for each span.

A row has no span id, so a span that is sent twice makes two rows. Parents, events, status, and all attributes except
texts and whole numbers are lost. Like Helicone, this reads OTLP as plain JSON, whatever its ids and types are; protobuf
becomes JSON first. So it does not use the decoder of `tools/replay`, which converts JSON to protobuf and checks it.
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

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
# The schema requires these fields even where OTLP leaves them out because they are zero.
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
    """Answer a request with an `ExportTraceServiceRequest` as JSON in which no field is left out."""
    body = parsed(_decompressed(request)) if _is_json(request) else {}
    if missing := next(_missing_fields(body), None):
        return refused(400, f"Validation failed: {missing} is required")
    return _result(body, organization)


def receive_protobuf(request: Request, organization: str) -> ApiResult:
    """Answer a request with `TracesData` as protobuf; a request with JSON fails."""
    # Loaded here: `doctor` must be able to report a protobuf that is broken, and it uses this server.
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # noqa: PLC0415  # no types
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData  # noqa: PLC0415

    if _is_json(request):
        return ApiResult(Reply(500))
    try:
        data = TracesData.FromString(_decompressed(request))
    except (DecodeError, OSError, EOFError):
        return ApiResult(Reply(500))
    return _result(MessageToDict(data), organization)


def _result(body: Mapping[str, Any], organization: str) -> ApiResult:
    rows: list[Row] = []
    try:
        for span in _spans(body):
            rows.append(_row(span, organization))  # noqa: PERF401  # rows before an error are kept
    except (UncaughtError, ValueError, TypeError, KeyError):
        return ApiResult(Reply(500), tuple(rows))
    return ApiResult(Reply(200), tuple(rows))


def _spans(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource_spans in body.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            yield from scope_spans.get("spans", ())


def _row(span: Mapping[str, Any], organization: str) -> Row:
    attributes = dict(_texts(span.get("attributes", ())))
    # Protobuf leaves out fields that are zero.
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
    """Yield the attributes that are texts or whole numbers, as texts; Helicone loses the others."""
    for attribute in attributes:
        value = attribute.get("value", {})
        text = value.get("stringValue", value.get("intValue"))
        if text is not None:
            yield attribute["key"], str(text)


def _properties(attributes: Attributes) -> dict[str, str]:
    named = {
        key.removeprefix(_HELICONE): value
        for key, value in attributes.items()
        if key.startswith(_HELICONE) and key != _USER
    }
    # The names of properties keep their case here, unlike those of properties in headers.
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


def _numbered(attributes: Attributes, prefix: str) -> list[dict[str, str]]:
    """Return the attributes under `<prefix>.<number>.` as one mapping per number, if it has a role."""
    entries: dict[int, dict[str, str]] = {}
    for key, value in attributes.items():
        number, dot, name = key.removeprefix(f"{prefix}.").partition(".")
        if key.startswith(f"{prefix}.") and dot and number.isdecimal():
            entries.setdefault(int(number), {})[name] = value
    return [entries[number] for number in sorted(entries) if "role" in entries[number]]


def _missing_fields(body: Any) -> Iterator[str]:
    if not isinstance(body, Mapping) or not isinstance(body.get("resourceSpans"), list):
        yield "resourceSpans"
        return
    for resource_spans in body["resourceSpans"]:
        yield from _missing_in(resource_spans.get("resource", {}), "resource")
        for scope_spans in resource_spans.get("scopeSpans", ()):
            yield from _missing_in(scope_spans.get("scope", {}), "scope")
            for span in scope_spans.get("spans", ()):
                yield from _missing_in(span, "span")
                yield from _missing_in(span["status"], "status")


def _missing_in(part: Mapping[str, Any], name: str) -> Iterator[str]:
    yield from (f"{name}.{field}" for field in _REQUIRED[name] if field not in part)


def _is_json(request: Request) -> bool:
    return (request.header("Content-Type") or "").partition(";")[0].strip() == JSON_TYPE


def _decompressed(request: Request) -> bytes:
    return gzip.decompress(request.body) if request.header("Content-Encoding") == "gzip" else request.body
