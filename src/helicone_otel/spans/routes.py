"""The entry route of a span: the route or task name by which work came into this service.

A call without any step around it gets this path: work that came in by `POST /trips/{id}/plan` runs at `/trips/plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ..wire import bounded, first_text
from .names import clean_route, fit_template
from .schema import SpanKind


class EntryRoute(NamedTuple):
    """Where spans of one OpenTelemetry kind keep the route or task name.

    Attributes:
        span_kind: The kind.
        named_by: Attributes that hold the name, the best first.
        templates: Forms of span names. If no attribute holds the name, it is what stands for `*` in the first form
            that fits.
    """

    span_kind: SpanKind
    named_by: tuple[str, ...]
    templates: tuple[str, ...]


# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, .../messaging/messaging-spans/
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

ENTRY_ROUTES: Final = (
    EntryRoute("SERVER", ("http.route", "rpc.method"), tuple(f"{method} /*" for method in _METHODS)),
    # Celery names a worker's span `run/<task>`; the convention says `process <queue>` or `<queue> process`.
    EntryRoute("CONSUMER", ("celery.task_name",), ("run/*", "process *", "* process", "receive *", "* receive", "*")),
)

# Scopes of instrumentations of servers. Where a span is current already, they make an INTERNAL span instead of a SERVER
# span. https://github.com/open-telemetry/opentelemetry-python-contrib, `_start_internal_or_server_span`
INBOUND_SCOPES: Final = (
    "opentelemetry.instrumentation.asgi*",
    "opentelemetry.instrumentation.django*",
    "opentelemetry.instrumentation.falcon*",
    "opentelemetry.instrumentation.fastapi*",
    "opentelemetry.instrumentation.flask*",
    "opentelemetry.instrumentation.pyramid*",
    "opentelemetry.instrumentation.starlette*",
    "opentelemetry.instrumentation.tornado*",
    "opentelemetry.instrumentation.wsgi*",
)

# Names of their INTERNAL spans by which no work comes in: it goes on after the answer.
INNER_NAMES: Final = ("BackgroundTask *",)

_BY_KIND: Final[Mapping[str, EntryRoute]] = {entry_route.span_kind: entry_route for entry_route in ENTRY_ROUTES}
# The kinds of spans through which work comes in.
ENTRY_KINDS: Final = frozenset(_BY_KIND)


def entry_route_of(span_kind: str, name: str, attributes: Mapping[str, object]) -> str:
    """Return a span's entry route as a path, or an empty text if the span has none.

    Args:
        span_kind: One of `ENTRY_KINDS`.
        name: The span's name.
        attributes: The span's attributes.
    """
    route = first_text(attributes, _BY_KIND[span_kind].named_by)
    return _path(route) if route else _path_from_name(span_kind, name)


@lru_cache(maxsize=512)
def _path_from_name(span_kind: str, name: str) -> str:
    matches = (fit_template(template, name) for template in _BY_KIND[span_kind].templates)
    return _path(next((route for route in matches if route), ""))


def _path(route: str) -> str:
    segments = bounded(clean_route(route))
    return "/" + "/".join(segments) if segments else ""
