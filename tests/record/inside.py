"""Record spans in the environment of a family: `python -m tests.record.inside NAME URL` prints a recording.

Neither this module nor what it imports from the tests needs helicone-otel, which is not installed there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import itertools
import json
import re
import sys
import threading
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import CarrierT, Setter, TextMapPropagator, default_setter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from tests.record.families import EVERY, FAMILIES
from tests.record.scenarios import PROGRAMS, run

HTTP_CLIENTS = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}


class Recorder(SpanProcessor, TextMapPropagator):
    """Records the attributes of spans when they start and end, and the open spans when headers are injected."""

    def __init__(self) -> None:
        self.scenario = ""
        self.spans: dict[int, dict[str, Any]] = {}
        self.injections: list[dict[str, Any]] = []
        self._live: dict[int, Span] = {}
        self._numbers = itertools.count(1)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        scope, ids = span.instrumentation_scope, span.get_span_context()
        assert scope is not None
        self._live[ids.span_id] = span
        self.spans[ids.span_id] = {
            "scenario": self.scenario,
            "thread": threading.current_thread().name,
            "name_at_start": span.name,
            "name": span.name,
            "kind": span.kind.name,
            "trace_id": f"{ids.trace_id:032x}",
            "span_id": f"{ids.span_id:016x}",
            "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
            "scope": {"name": scope.name, "version": scope.version, "schema_url": scope.schema_url or ""},
            "start_seq": next(self._numbers),
            "start_time_unix_nano": span.start_time,
            "attributes_at_start": dict(span.attributes or {}),
        }
        if open_spans := [span for span in self._line(span.parent.span_id if span.parent else 0) if not span["ended"]]:
            self.spans[ids.span_id]["ancestors_at_start"] = open_spans

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self.spans[span.context.span_id] |= {
            "name": span.name,
            "end_seq": next(self._numbers),
            "end_time_unix_nano": span.end_time,
            "attributes_at_end": dict(span.attributes or {}),
        }

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        current = trace.get_current_span(context).get_span_context().span_id
        line, seq = self._line(current), next(self._numbers)
        self.injections.append({"seq": seq, "current_span_id": f"{current:016x}", "ancestors_at_injection": line})

    def _line(self, span_id: int) -> list[dict[str, Any]]:
        """Return what a span and those above it have now, from the inside out."""
        line = []
        while (span := self._live.get(span_id)) is not None:
            line.append(
                {
                    "span_id": f"{span_id:016x}",
                    "name": span.name,
                    "ended": span.end_time is not None,
                    "attribute_keys_now": list(span.attributes or {}),
                }
            )
            span_id = span.parent.span_id if span.parent else 0
        return line

    def extract(self, carrier: CarrierT, context: Context | None = None, getter: Any = None) -> Context:
        return context if context is not None else Context()

    @property
    def fields(self) -> set[str]:
        return set()


RECORDER = Recorder()


def main(name: str, url: str) -> None:
    """Record a family and print the recording."""
    family, recorder = FAMILIES[name], RECORDER
    provider = TracerProvider()
    provider.add_span_processor(recorder)
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(CompositePropagator([propagate.get_global_textmap(), recorder]))
    http = importlib.import_module("opentelemetry.instrumentation.httpx")
    for client, instrumentor in HTTP_CLIENTS.items():
        if find_spec(client) is not None:
            getattr(http, instrumentor)().instrument()
    for path in family.instrumentors:
        module, _, instrumentor = path.partition(":")
        getattr(importlib.import_module(module), instrumentor)().instrument()
    errors = {}
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print
        for scenario, call in PROGRAMS[family.scenarios](url).items():
            recorder.scenario = scenario
            if error := run(call):
                errors[scenario] = error
    packages = [re.match(r"[\w.-]+", package)[0] for package in (*EVERY, *family.requires)]
    recording = {
        "recording": name,
        "recorded_on": dt.datetime.now(dt.UTC).date().isoformat(),
        "packages": {package: version(package) for package in packages},
        "spans": list(recorder.spans.values()),
        "injections": recorder.injections,
        "scenario_errors": errors,
    }
    json.dump(recording, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
