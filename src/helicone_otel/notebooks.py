"""Sessions that draw themselves in notebooks: `current_session()`, or a `Session`, as the last line of a cell.

    from helicone_otel import configure, session
    from helicone_otel.notebooks import keep_spans

    configure()
    keep_spans()
    with session("Trip Planning") as trip:
        agent.run("Two days in Porto")
    trip

The drawing has the session's id, its path and a link to `helicone-otel view`. After `keep_spans()` it also has the
tree of the session with durations, from the spans of this process.

The library loads this module when a session is drawn for the first time, and it loads the tools that it needs then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from . import wire
from .failures import swallow
from .install.configure import INSTALLATION
from .sessions.model import Session

if TYPE_CHECKING:
    from .tools.cli.tree import RequestNode, SessionTree, Step

__all__ = ["keep_spans"]

# Where `helicone-otel view` has its pages, unless it is told otherwise.
VIEW: Final = "http://127.0.0.1:4316"
MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 200
# Of the objects that hold a span, beside its bytes.
_OVERHEAD: Final = 100
_INDENT: Final = 1.5
_MAX_DEPTH: Final = 20


def keep_spans(max_bytes: int = MAX_BYTES, *, view: str = VIEW) -> None:
    """Keep the labelled spans of this process from now on, so that sessions are drawn with their tree.

    It needs the library: call `configure()` before. Calling it again only changes the limit and the address. A full
    store forgets its oldest spans.

        keep_spans(64 * 2**20)

    Args:
        max_bytes: The size of all spans that are kept, in bytes.
        view: The address of the pages of `helicone-otel view`, for links.

    Raises:
        RuntimeError: The library is not installed in this process.
        ValueError: `max_bytes` is below 0.
    """
    if max_bytes < 0:
        raise ValueError(f"max_bytes: expected a number of bytes from 0 on, got {max_bytes!r:.60}")
    if not INSTALLATION.installed:
        raise RuntimeError("helicone-otel is not installed in this process: call helicone_otel.configure() before")
    _STORE.limit(max_bytes)
    _STORE.view = view.rstrip("/")
    if not _STORE.is_filled:
        _STORE.is_filled = True
        INSTALLATION.add_processor_to_all(lambda: SimpleSpanProcessor(_STORE))


def session_as_html(session: Session) -> str | None:
    """Return a drawing of a session for a notebook; `None` if that fails, so that the notebook prints its `repr`."""
    try:
        return "".join(_drawing(session))
    except Exception as error:  # noqa: BLE001  # a drawing must not fail the user's cell
        swallow("_repr_html_", error)
        return None


class _SpanStore(SpanExporter):
    """Keeps labelled spans as OTLP, up to a number of bytes.

    Attributes:
        view: The address of the pages of a view.
        is_filled: Whether spans get in here.
    """

    def __init__(self) -> None:
        self.view = VIEW
        self.is_filled = False
        self._max_bytes = 0
        self._bytes = 0
        self._spans: deque[bytes] = deque()
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep those of some spans that have a label."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415

        labelled = [span for span in spans if wire.SESSION_ID in (span.attributes or {})]
        encoded = [encode_spans([span]).SerializeToString() for span in labelled]
        with self._lock:
            self._spans += encoded
            self._bytes += sum(map(_size, encoded))
            self._forget()
        return SpanExportResult.SUCCESS

    def limit(self, max_bytes: int) -> None:
        """Keep at most this many bytes."""
        with self._lock:
            self._max_bytes = max_bytes
            self._forget()

    def kept(self) -> list[bytes]:
        """Return the spans, the oldest first, each as an export request."""
        with self._lock:
            return list(self._spans)

    def forget(self) -> None:
        """Remove all spans."""
        with self._lock:
            self._spans.clear()
            self._bytes = 0

    def _forget(self) -> None:
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._spans.popleft())


def _size(span: bytes) -> int:
    return len(span) + _OVERHEAD


_STORE = _SpanStore()


# --- the drawing ------------------------------------------------------------------------------------


def _drawing(session: Session) -> Iterator[str]:
    query = urlencode({"id": session.wire_id, **({"name": session.wire_name} if session.wire_name else {})})
    yield '<div class="helicone-session">'
    yield f"<b>{escape(session.name or '(no session name)')}</b> <code>{escape(session.id)}</code><br>"
    yield f"path <code>{escape(str(session.path))}</code> · "
    yield f'<a href="{escape(f"{_STORE.view}/session?{query}")}" target="_blank" rel="noopener">open in the view</a>'
    tree = _tree_of(session)
    if tree is not None:
        yield from _table(tree)
    yield "</div>"


def _tree_of(session: Session) -> SessionTree | None:
    """Return the tree of a session, from the spans that are kept; `None` if there are none of it."""
    from .destinations import Destinations  # noqa: PLC0415  # only a drawing needs these
    from .tools.cli.receiver import decode  # noqa: PLC0415
    from .tools.cli.tree import build_sessions  # noqa: PLC0415
    from .tracking.registry import REGISTRY  # noqa: PLC0415

    settings = REGISTRY.settings
    spans = [span for encoded in _STORE.kept() for span in decode(encoded)]
    sessions = build_sessions(spans, Destinations(settings.gateway_hosts, settings.propagate_hosts))
    wanted = session.wire_id, session.wire_name
    return next((each for each in sessions if (each.id, each.name) == wanted), None)


def _table(tree: SessionTree) -> Iterator[str]:
    lines = list(_lines(tree.root.steps, tree.root.requests, 0))
    yield '<table style="text-align: left">'
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f'<tr><td colspan="3">{len(lines) - MAX_LINES} more lines</td></tr>'
    yield "</table>"


def _lines(steps: Iterable[Step], requests: Iterable[RequestNode], depth: int) -> Iterator[str]:
    for request in requests:
        yield _line(depth, request.kind, request.name, request.end - request.start, request.error)
    for step in steps:
        is_its_own_request = len(step.requests) == 1 and step.requests[0].kind == step.kind
        runs = f"{step.runs} runs" if step.runs > 1 else ""
        more = " ".join(filter(None, (step.kind, runs)))
        yield _line(depth, step.segment, more, step.end - step.start, step.error)
        yield from _lines(step.steps, () if is_its_own_request else step.requests, depth + 1)


def _line(depth: int, what: str, more: str, nanoseconds: int, error: str | None) -> str:
    from .tools.terminal import format_duration, visible  # noqa: PLC0415

    indent = min(depth, _MAX_DEPTH) * _INDENT
    failed = f' <span style="color: #b00020">{escape(visible(error))}</span>' if error else ""
    return (
        f'<tr><td style="text-align: left; padding-left: {indent + 0.5}em">{escape(visible(what))}</td>'
        f'<td style="text-align: left">{escape(visible(more))}{failed}</td>'
        f'<td style="text-align: right">{format_duration(nanoseconds)}</td></tr>'
    )
