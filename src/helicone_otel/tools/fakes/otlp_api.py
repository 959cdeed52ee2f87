"""Helicone's two endpoints for OTLP, imitated with their losses: one row for each span.

A row has no span id, so a span that is sent twice makes two rows. Parents, events, status, and all attributes except
texts and whole numbers are lost. The bodies have the form of OpenAI's chats, whoever answered. But Helicone reads them
by the provider, whose name it takes as it comes, in upper case.

Like Helicone, this reads OTLP as plain JSON, whatever its ids and types are; protobuf becomes JSON first. So it does
not use the decoder of `tools/replay`, which converts JSON to protobuf and checks it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..body_limits import GzipError, TooLongError, gunzipped
from .headers import as_text
from .jawn_api import UNKNOWN_PATH
from .log_api import UncaughtError, parsed
from .requests import JSON_TYPE, ApiResult, Reply, Request, refused
from .rows import Row
from .usage import bill_of

JSON_PATH: Final = "/v1/trace/log"
PROTOBUF_PATH: Final = "/v1/trace/log-python"

# A text; a number where it was JSON; `None` for what Helicone does not read.
Attributes = Mapping[str, Any]

_HELICONE: Final = "traceloop.association.properties.Helicone-"
_USER: Final = f"{_HELICONE}User-Id"
_NS_IN_MS: Final = 1_000_000
_INVENTED_MAX_TOKENS: Final = 50
# Of the number in `gen_ai.prompt.0.role`.
_LEVEL: Final = 2
# The schema requires these fields even where OTLP leaves them out because they are zero.
_MAX_DECOMPRESSED: Final = 64 * 1024 * 1024
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
    try:
        body = parsed(_decompressed(request)) if _is_json(request) else {}
    except (GzipError, TooLongError):
        return ApiResult(Reply(500))
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
    except (DecodeError, GzipError, TooLongError):
        return ApiResult(Reply(500))
    return _result(MessageToDict(data), organization)


def _result(body: Mapping[str, Any], organization: str) -> ApiResult:
    rows: list[Row] = []
    try:
        for span in _spans(body):
            rows.append(_row(span, organization))  # noqa: PERF401  # rows before an error are kept
    except (UncaughtError, ValueError, TypeError, KeyError, OverflowError):
        return ApiResult(Reply(500), tuple(rows))
    return ApiResult(Reply(200), tuple(rows))


def _spans(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource_spans in body.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            yield from scope_spans.get("spans", ())


def _row(span: Mapping[str, Any], organization: str) -> Row:
    attributes = dict(_values(span.get("attributes", ())))
    provider = attributes.get("gen_ai.system") or ""
    if not isinstance(provider, str):
        raise UncaughtError("gen_ai.system.toUpperCase is not a function")
    provider = provider.upper()
    started, ended = _ms(span.get("startTimeUnixNano")), _ms(span.get("endTimeUnixNano"))
    request, response = _request(attributes), _response(attributes, started or 0)
    model = as_text(attributes.get("gen_ai.response.model") or "")
    return Row(
        id=response["id"],
        door="otlp",
        provider=provider,
        model=model,
        status=200,
        path=UNKNOWN_PATH,
        started=int(started or 0),
        ended=int(started or 0) + int((ended or 0) - (started or ended or 0)),
        user_id=as_text(_first(attributes, _USER, "llm.user")),
        properties=_properties(attributes),
        request=request,
        response=response,
        organization=organization,
        **bill_of(provider, model, response)._asdict(),
    )


def _values(attributes: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes. Those that are no texts and no whole numbers have no value: `None`.

    Whole numbers are texts where they were protobuf.
    """
    for attribute in attributes:
        value = attribute.get("value", {})
        yield attribute["key"], value.get("stringValue", value.get("intValue"))


def _first(attributes: Attributes, *names: str) -> Any:
    return next((value for name in names if (value := attributes.get(name)) is not None), "")


def _ms(nanoseconds: Any) -> float | None:
    """Return milliseconds; `None` if it is no number, which JavaScript makes an invalid date, and JSON no date."""
    found = re.match(r"\s*[+-]?\d+", str(nanoseconds))
    return int(found[0]) / _NS_IN_MS if found else None


def _properties(attributes: Attributes) -> dict[str, str]:
    named = {
        key.removeprefix(_HELICONE): as_text(value)
        for key, value in attributes.items()
        if key.startswith(_HELICONE) and key != _USER and value is not None
    }
    # The names of properties keep their case here, unlike those of properties in headers.
    return {
        name.removeprefix("Property-") if name.startswith("Property-") else f"Helicone-{name}": value
        for name, value in named.items()
    }


def _request(attributes: Attributes) -> dict[str, Any]:
    return _without_undefined(
        {
            "model": attributes.get("gen_ai.response.model"),
            "n": len(_numbers(attributes, "gen_ai.completion")),
            "messages": [_message(attributes, f"gen_ai.prompt.{n}") for n in _numbers(attributes, "gen_ai.prompt")],
            "temperature": 1,
            "max_tokens": _first(attributes, "gen_ai.response.max_tokens") or _INVENTED_MAX_TOKENS,
            "stream": False,
        }
    )


def _response(attributes: Attributes, started: float) -> dict[str, Any]:
    """Return a response in the form of OpenAI's chats, whoever answered. Numbers of tokens are texts."""
    usage = {
        "prompt_tokens": attributes.get("gen_ai.usage.prompt_tokens"),
        "completion_tokens": attributes.get("gen_ai.usage.completion_tokens"),
        "total_tokens": attributes.get("llm.usage.total_tokens"),
    }
    moment = datetime.fromtimestamp(started / 1000, UTC)
    return _without_undefined(
        {
            "id": str(uuid.uuid4()),
            "object": attributes.get("llm.request.type"),
            "created": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "model": attributes.get("gen_ai.response.model"),
            "choices": [_choice(attributes, n) for n in _numbers(attributes, "gen_ai.completion")],
            "usage": _without_undefined(usage),
        }
    )


def _choice(attributes: Attributes, number: int) -> dict[str, Any]:
    reason = attributes.get(f"gen_ai.completion.{number}.finish_reason")
    message = _message(attributes, f"gen_ai.completion.{number}")
    return _without_undefined({"index": number, "finish_reason": reason, "message": message})


def _message(attributes: Attributes, prefix: str) -> dict[str, Any]:
    return _without_undefined({name: attributes.get(f"{prefix}.{name}") for name in ("role", "content")})


def _numbers(attributes: Attributes, prefix: str) -> list[int]:
    """Return the numbers of the messages under a prefix that have a role, in the order in which the span names them."""
    parts = [key.split(".") for key in attributes if key.startswith(prefix)]
    found = [re.match(r"\d+", levels[_LEVEL]) for levels in parts if len(levels) > _LEVEL]
    numbers = dict.fromkeys(int(match[0]) for match in found if match)
    return [number for number in numbers if f"{prefix}.{number}.role" in attributes]


def _without_undefined(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as JSON writes it: without members that are undefined."""
    return {key: value for key, value in body.items() if value is not None}


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
    return gunzipped(request.body, _MAX_DECOMPRESSED) if request.header("Content-Encoding") == "gzip" else request.body
