"""Turns a recording back into live spans under the real SDK.

A recording holds what a real library put on its spans and when: at start, before each injection of
headers, at the end. Replaying keeps order, parents, scopes, names, times and threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, Settings
from helicone_otel._registry import Registry
from helicone_otel._requests import may_be_request

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass(frozen=True)
class Outcome:
    """What one recorded span was said to be: when it started, when headers left, in the end."""

    kind_at_start: str | None
    kind: str | None
    path: str
    path_at_injection: str | None
    request: bool
    injects: bool
    session_id: str | None


def load(name: str) -> dict[str, Any]:
    """Return a recording with its gold labels under `labels`."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def replay(recording: dict[str, Any], settings: Settings | None = None) -> dict[str, Outcome]:
    """Replay all spans of a recording and return what became of each, by its recorded span id."""
    return _Replay(recording, settings or Settings()).run()


class _Replay:
    def __init__(self, recording: dict[str, Any], settings: Settings) -> None:
        self._recording = recording
        self._registry = Registry(settings)
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(HeliconeSpanProcessor(self._registry))
        self._provider.add_span_processor(SimpleSpanProcessor(SessionSpanExporter(self._exporter, self._registry)))
        self._live: dict[str, Span] = {}
        self._kind_at_start: dict[str, str | None] = {}
        self._path_at_injection: dict[str, str] = {}

    def run(self) -> dict[str, Outcome]:
        with ExitStack() as stack:
            threads: dict[str, ThreadPoolExecutor] = {}
            for _, happen, what in sorted(self._events(), key=lambda event: event[0]):
                thread = what.get("thread", "")
                if thread not in threads:
                    threads[thread] = stack.enter_context(ThreadPoolExecutor(max_workers=1))
                threads[thread].submit(happen, what).result()
        recorded = {span.get_span_context().span_id: key for key, span in self._live.items()}
        exported = {recorded[span.context.span_id]: span for span in self._exporter.get_finished_spans()}
        return {key: self._outcome(key, exported.get(key)) for key in self._live}

    def _events(self) -> list[tuple[int, Callable[[Any], None], dict[str, Any]]]:
        events: list[tuple[int, Callable[[Any], None], dict[str, Any]]] = []
        for span in self._recording["spans"]:
            events.append((span["start_seq"], self._start, span))
            if span.get("end_seq"):
                events.append((span["end_seq"], self._end, span))
        events += [(injection["seq"], self._inject, injection) for injection in self._recording["injections"]]
        return events

    def _start(self, span: dict[str, Any]) -> None:
        parent = self._live.get(span["parent_span_id"] or "")
        context = trace.set_span_in_context(parent, Context()) if parent else Context()
        scope = span["scope"]
        live = self._provider.get_tracer(scope["name"], scope["version"], scope["schema_url"] or None).start_span(
            span["name_at_start"],
            context=context,
            kind=trace.SpanKind[span["kind"]],
            attributes=span["attributes_at_start"],
            start_time=span["start_time_unix_nano"],
        )
        assert isinstance(live, Span)
        self._live[span["span_id"]] = live
        vocabulary = self._registry.resolver.vocabulary
        reading = vocabulary.read(
            vocabulary.scope(scope["name"]), span["name_at_start"], span["kind"], span["attributes_at_start"]
        )
        self._kind_at_start[span["span_id"]] = reading.kind

    def _inject(self, injection: dict[str, Any]) -> None:
        ends = {span["span_id"]: span["attributes_at_end"] for span in self._recording["spans"]}
        for ancestor in injection["ancestors_at_injection"]:
            key = ancestor["span_id"]
            if key in self._live and not ancestor["ended"]:
                known = {name: ends[key][name] for name in ancestor["attribute_keys_now"] if name in ends[key]}
                self._live[key].set_attributes(known)
        current = self._live.get(injection["current_span_id"])
        if current is not None:
            location = self._registry.locate(trace.set_span_in_context(current, Context()))
            if location is not None:
                self._path_at_injection.setdefault(injection["current_span_id"], location.path)

    def _end(self, span: dict[str, Any]) -> None:
        live = self._live[span["span_id"]]
        live.update_name(span["name"])
        live.set_attributes(span["attributes_at_end"])
        live.end(span["end_time_unix_nano"])

    def _outcome(self, key: str, exported: ReadableSpan | None) -> Outcome:
        live = self._live[key]
        attributes = dict((exported or live).attributes or {})
        kind = attributes.get("helicone.span.kind")
        request = "helicone.request.id" in attributes
        if exported is None:  # it never ended: what would it be if it did now?
            record = self._registry.record_of(live)
            request = record is not None and may_be_request(record.reading) and not record.wraps
        return Outcome(
            kind_at_start=self._kind_at_start[key],
            kind=str(kind) if kind else None,
            path=str(attributes.get("helicone.session.path", "/")),
            path_at_injection=self._path_at_injection.get(key),
            request=request,
            session_id=str(attributes["helicone.session.id"]) if "helicone.session.id" in attributes else None,
            injects=key in {injection["current_span_id"] for injection in self._recording["injections"]},
        )
