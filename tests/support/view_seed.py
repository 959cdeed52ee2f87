"""A view with example sessions, for tests and for work on the pages.

`python -m tests.support.view_seed [PORT]` serves the spans of this project's recordings, and a long session, until
Ctrl-C.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from helicone_otel import Settings
from helicone_otel.tools.replay.otlp import batch_of
from helicone_otel.tools.view.server import View, running_view
from helicone_otel.tools.view.sockets import ListenOptions
from tests.support.replay import RECORDINGS, load

MODEL = "gpt-4o-mini"
KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


def any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case _:
            return AnyValue(string_value=str(value))


def request_of(service: str, spans: list[dict[str, Any]]) -> ExportTraceServiceRequest:
    """Return an export request of one service; each span is a mapping as the recordings have them."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(KeyValue(key="service.name", value=any_value(service)))
    for span in spans:
        scope = resource.scope_spans.add()
        scope.scope.name = span["scope"]["name"]
        scope.spans.append(otlp_span(span))
    return request


def otlp_span(span: dict[str, Any]) -> Span:
    attributes = span.get("attributes_at_end") or span.get("attributes_at_start", {})
    made = Span(
        trace_id=bytes.fromhex(span["trace_id"]),
        span_id=bytes.fromhex(span["span_id"]),
        parent_span_id=bytes.fromhex(span["parent_span_id"] or ""),
        name=span["name"],
        kind=KINDS.index(span["kind"]) + 1,  # type: ignore[arg-type]
        start_time_unix_nano=span["start_time_unix_nano"],
        end_time_unix_nano=span.get("end_time_unix_nano") or span["start_time_unix_nano"],
        attributes=[KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()],
    )
    status = span.get("status", {})
    if status.get("code") == "ERROR" or (not status and "error.type" in attributes):
        made.status.code = made.status.STATUS_CODE_ERROR
        made.status.message = status.get("description") or attributes.get("error.type", "")
    return made


def recorded(names: Iterable[str] = ()) -> Iterator[ExportTraceServiceRequest]:
    """Yield the export requests that the applications of recordings would have sent; by default of all recordings."""
    for name in names or sorted(file.stem for file in RECORDINGS.glob("*.json")):
        yield request_of(name, load(name)["spans"])


def span(trace: int, number: int, parent: int = 0, **fields: Any) -> dict[str, Any]:
    """Return one span as the recordings have them; times are milliseconds."""
    start, length = fields.pop("start", 0.0), fields.pop("length", 1.0)
    begin = fields.pop("epoch", 1_760_000_000_000_000_000) + int(start * 1e6)
    return {
        "trace_id": f"{trace:032x}",
        "span_id": f"{number:016x}",
        "parent_span_id": f"{parent:016x}" if parent else None,
        "name": fields.pop("name", "chat gpt-4o-mini"),
        "kind": fields.pop("kind", "INTERNAL"),
        "scope": {"name": fields.pop("scope", "opentelemetry.instrumentation.openai_v2")},
        "start_time_unix_nano": begin,
        "end_time_unix_nano": begin + int(length * 1e6),
        "attributes_at_end": fields.pop("attributes", {}),
        **fields,
    }


def tokens_of(question: int) -> tuple[int, int]:
    """Return the tokens of a question of a review and of its answer."""
    return 100 + question % 17, 20 + question % 5


def review(trace: int, conversation: str, questions: int, epoch: int, *, fails: bool = False) -> list[dict[str, Any]]:
    """Return the spans of a code review as an agent of another language would send them: no label, real content."""
    agent = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "reviewer",
        "gen_ai.conversation.id": conversation,
        "user.id": f"u-{trace % 7}",
    }
    base = trace << 20
    spans = [
        span(trace, base + 1, name="invoke_agent reviewer", attributes=agent, length=questions * 60 + 40, epoch=epoch)
    ]
    for question in range(questions):
        place = base + 10 * question + 10
        start = question * 60 + 5
        tool = "security_check" if question % 4 == 2 else "read_file"
        chat = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": MODEL,
            "gen_ai.usage.input_tokens": tokens_of(question)[0],
            "gen_ai.usage.output_tokens": tokens_of(question)[1],
            "gen_ai.response.time_to_first_chunk": 0.012,
            "gen_ai.input.messages": json.dumps(
                [
                    {
                        "role": "system",
                        "parts": [{"type": "text", "content": "You review code. <script>alert(1)</script>"}],
                    },
                    {"role": "user", "parts": [{"type": "text", "content": f"Is file {question} safe?"}]},
                ]
            ),
            "gen_ai.output.messages": json.dumps(
                [
                    {
                        "role": "assistant",
                        "finish_reason": "tool_calls",
                        "parts": [{"type": "tool_call", "id": "c1", "name": tool, "arguments": {"file": question}}],
                    }
                ]
            ),
        }
        spans.append(
            span(
                trace,
                place,
                base + 1,
                attributes=chat,
                start=start,
                length=30 + question % 20,
                epoch=epoch,
                kind="CLIENT",
            )
        )
        run = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.arguments": json.dumps({"file": question}),
            "gen_ai.tool.call.result": json.dumps({"safe": question % 4 != 2}),
        }
        if fails and tool == "security_check":
            run["error.type"] = "TimeoutError"
        spans.append(
            span(
                trace,
                place + 1,
                base + 1,
                name=f"execute_tool {tool}",
                attributes=run,
                start=start + 32,
                length=40 + question % 9,
                epoch=epoch,
            )
        )
        search = {
            "db.system.name": "qdrant",
            "db.operation.name": "search",
            "db.collection.name": "advisories",
            "db.query.text": f"advisories about file {question}",
            "db.vector.query.top_k": 3,
        }
        spans.append(
            span(
                trace,
                place + 2,
                place + 1,
                name="qdrant.search",
                scope="opentelemetry.instrumentation.qdrant",
                attributes=search,
                start=start + 33,
                length=8,
                epoch=epoch,
                kind="CLIENT",
            )
        )
    return spans


def fill(view: View, reviews: int = 12, questions: int = 8) -> None:
    """Send the recordings and some code reviews to a view, and wait for the labels of their spans."""
    now = time.time_ns()
    requests = list(recorded())
    for number in range(1, reviews + 1):
        epoch = now - number * 600_000_000_000
        requests.append(
            request_of("reviewer", review(number, f"review/{number}", questions, epoch, fails=number % 3 == 0))
        )
    requests.append(request_of("reviewer", review(999, "a long review", 200, now - 300_000_000_000)))
    send(view, *requests)


def send(view: View, *requests: ExportTraceServiceRequest) -> None:
    """Send export requests to a view one after the other, and wait for the labels of their spans."""
    for request in requests:
        view.intake.accept_spans(batch_of(request)).result()
    wait_until_labelled(view)


def wait_until_labelled(view: View) -> None:
    """Wait until all spans that have arrived are labelled."""
    for _ in range(10_000):
        if not view.worker.waiting:
            return
        time.sleep(0.002)
    raise TimeoutError("the view does not label its spans")


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with running_view(None, Settings(), ListenOptions(pages=port, grpc=0, http=0)) as view:
        fill(view)
        print(f"pages {view.url}  OTLP/HTTP {view.http_url}  OTLP/gRPC {view.grpc_address}", flush=True)  # noqa: T201
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
