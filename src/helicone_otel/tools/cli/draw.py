"""Draws session trees in a terminal, or as plain text into a pipe.

Names and messages come from the application, its models and its tools. So every text goes through `visible`: markup is
not interpreted, and no control character reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ... import wire
from ..terminal import counted, format_duration, visible
from .tree import GatewayCall, LoggedRow, RequestNode, SessionTree, Step

MAX_SESSIONS: Final = 50
MAX_REQUESTS: Final = 50  # of one step
_STYLES: Final = {
    "workflow": "magenta",
    "agent": "magenta",
    "task": "blue",
    "tool": "yellow",
    "llm": "green",
    "embedding": "green",
    "vector_db": "cyan",
    "rerank": "cyan",
    "guardrail": "yellow",
    "data": "cyan",
    "http": "green",
}
_DURATION_WIDTH: Final = 9
_PATH: Final = wire.SESSION_PATH_HEADER
_ROW_ID: Final = wire.REQUEST_ID_HEADER
# Headers that each request has for itself, even if there is only one request.
_PER_REQUEST: Final = frozenset({_PATH, _ROW_ID})


def terminal(file: IO[str]) -> Console:
    """Return a console that prints texts unchanged, without markup, emoji codes and guessed colours."""
    return Console(file=file, markup=False, emoji=False, highlight=False)


def draw(console: Console, sessions: Sequence[SessionTree], notes: Iterable[str]) -> None:
    """Print each session as a tree by path, and then the notes."""
    for session in sessions[:MAX_SESSIONS]:
        console.print()
        console.print(_Drawing(session, console).rendered())
    if len(sessions) > MAX_SESSIONS:
        console.print(f"\n{len(sessions) - MAX_SESSIONS} more sessions are not drawn; --json has them all.")
    for note in notes:
        console.print()
        console.print(Text(visible(note, ascii_only=console.options.ascii_only), style="yellow"))


@dataclass(frozen=True, slots=True)
class _Glyphs:
    bar: str
    arrow: str
    cross: str


_UNICODE: Final = _Glyphs(bar="█", arrow="→", cross="✗")
_ASCII: Final = _Glyphs(bar="#", arrow="->", cross="x")


class _Drawing:
    """Draws one session as far as a console can show it."""

    def __init__(self, session: SessionTree, console: Console) -> None:
        self._session = session
        self._ascii_only = console.options.ascii_only
        self._glyphs = _ASCII if self._ascii_only else _UNICODE
        self._bar_width = max(10, min(40, console.width // 4))
        calls = [request.call for request in session.requests if request.call is not None]
        self._shared = _shared_headers(calls)
        self._host = calls[0].host if len({call.host for call in calls}) == 1 else ""

    def rendered(self) -> RenderableType:
        tree = Tree(Group(self._title(), *self._head()), guide_style="dim")
        self._fill(tree, self._session.root)
        return tree

    def _title(self) -> RenderableType:
        session = self._session
        requests = session.requests
        failed = sum(request.error is not None for request in requests)
        title = Text(self._visible(session.name or "(no session name)"), style="bold")
        title.append(f"  {counted(len(requests), 'request')}", style="not bold")
        if failed:
            title.append(f", {counted(failed, 'error')}", style="not bold red")
        return self._row(title, session.root.end - session.root.start)

    def _head(self) -> Iterator[Text]:
        if not any(name == wire.SESSION_ID_HEADER for name, _ in self._shared):
            yield Text(f"session id {self._visible(self._session.id)}", style="dim", overflow="fold")
        else:
            host = f" ({self._visible(self._host)})" if self._host else ""
            yield Text(f"on every gateway call{host}:", style="dim")
        for header in self._shared:
            yield self._header(Text("  ", style="dim", overflow="fold"), header)

    def _fill(self, branch: Tree, step: Step) -> None:
        own = () if _is_its_own_request(step) else step.requests
        parts: list[RequestNode | Step] = [*own[:MAX_REQUESTS], *step.steps]
        for part in sorted(parts, key=lambda part: part.first if isinstance(part, Step) else part.start):
            if isinstance(part, Step):
                self._fill(branch.add(self._step(part)), part)
            else:
                branch.add(self._request(Text(self._visible(part.kind), style=_style(part.kind)), part))
        if len(own) > MAX_REQUESTS:
            branch.add(Text(f"{len(own) - MAX_REQUESTS} more requests", style="dim"))

    def _step(self, step: Step) -> RenderableType:
        label = Text(self._visible(step.segment), style="bold")
        if step.kind:
            label.append("  ").append(self._visible(step.kind), style=f"not bold {_style(step.kind)}")
        if _is_its_own_request(step):
            return self._request(label, step.requests[0])
        if step.runs > 1:
            label.append(f"  {step.runs} runs", style="not bold dim")
        # The error of one of several tool runs is shown at that run.
        error = None if step.requests and step.kind == step.requests[0].kind else step.error
        return Group(self._row(label, step.end - step.start), *self._error(error))

    def _request(self, label: Text, request: RequestNode) -> RenderableType:
        if request.name:
            label.append(f"  {self._visible(request.name)}", style="not bold dim")
        lines = list(self._call(request.call)) if request.call is not None else []
        lines += [line for row in request.rows for line in self._logged(row)]
        return Group(self._row(label, request.end - request.start, request), *self._error(request.error), *lines)

    def _call(self, call: GatewayCall) -> Iterator[Text]:
        line = Text(f"{self._glyphs.arrow} ", style="dim", overflow="fold")
        if call.status is not None:
            line.append(f"{call.status} ", style="red" if call.failure else "")
        if not self._host:
            line.append(f"{self._visible(call.host)} ")
        own = [header for header in call.headers if header not in self._shared and header[0] != _ROW_ID]
        yield self._header(line, own[0]) if own else line
        for header in own[1:]:
            yield self._header(Text("  ", style="dim", overflow="fold"), header)

    def _logged(self, row: LoggedRow) -> Iterator[Text]:
        did = f"{row.status} logged as" if row.logged else "would be logged as"
        line = Text(f"{self._glyphs.arrow} {did} ", style="dim", overflow="fold")
        yield line.append(self._visible(f"{row.badge} {row.model}".rstrip()), style="not dim")
        for flaw in row.flaws:
            yield Text(self._visible(f"  {flaw}"), style="yellow", overflow="fold")

    def _header(self, line: Text, header: tuple[str, str]) -> Text:
        name, value = header
        return line.append(f"{self._visible(name)}: ").append(self._visible(value), style="not dim")

    def _error(self, error: str | None) -> Iterator[Text]:
        if error is not None:
            yield Text(f"{self._glyphs.cross} {self._visible(error)}", style="red", overflow="fold")

    def _row(self, label: Text, duration: int, request: RequestNode | None = None) -> Table:
        # Without padding: versions of rich differ in how they treat it at the edge.
        row = Table.grid(expand=True)
        row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        row.add_column(width=_DURATION_WIDTH, justify="right", no_wrap=True)
        row.add_column(width=self._bar_width + 1, no_wrap=True)
        row.add_row(label, format_duration(duration), self._bar(request) if request else "")
        return row

    def _bar(self, request: RequestNode) -> Text:
        root = self._session.root
        scale = self._bar_width / max(root.end - root.start, 1)
        before = min(int((request.start - root.start) * scale), self._bar_width - 1)
        length = max(1, min(round((request.end - request.start) * scale), self._bar_width - before))
        style = "red" if request.error is not None else _style(request.kind)
        return Text(" " * (before + 1) + self._glyphs.bar * length, style=style)

    def _visible(self, text: str) -> str:
        return visible(text, ascii_only=self._ascii_only)


def _is_its_own_request(step: Step) -> bool:
    """Tell whether a step is a single tool run or vector operation, for which one line is enough."""
    return len(step.requests) == 1 and step.requests[0].kind == step.kind


def _shared_headers(calls: Sequence[GatewayCall]) -> list[tuple[str, str]]:
    """Return the headers that all gateway calls of a session have in common, but for their paths and row ids."""
    common = set.intersection(*(set(call.headers) for call in calls)) if calls else set[tuple[str, str]]()
    return [
        header for call in calls[:1] for header in call.headers if header in common and header[0] not in _PER_REQUEST
    ]


def _style(kind: str) -> str:
    return _STYLES.get(kind, "")
