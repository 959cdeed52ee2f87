"""`helicone-otel explain FILE`: the label of each span in a file, the row that decided it, and how many are right."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ... import wire
from ...settings import Settings, SettingsError
from ...tracking.registry import Registry
from ..replay.files import read
from ..replay.player import Replay, remove_sdk_variables
from ..replay.reasons import Explained, Reasons
from ..replay.score import outcomes, read_labels, score, table
from ..replay.spans import NotReadable
from ..terminal import counted, visible

# A deeper tree is wider than a terminal, so the depth is written as a number.
_MAX_INDENT: Final = 24
_Key = tuple[str, str]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel explain`."""
    parser.description = (
        "Replay the spans of a file through the library, and print the kind of each span, its path in the session, "
        "whether it is a request, and which dialect and row decided, or why none did."
    )
    parser.epilog = (
        "Exit code: 0, 1 if a field is not as the labels of --score say, or 2 if a file or a setting cannot be used."
    )
    parser.add_argument("file", type=Path, help="OTLP JSON, as the Collector's file exporter writes it, or a recording")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    parser.add_argument(
        "--score",
        type=Path,
        metavar="LABELS",
        help="print how many fields are as a person says, and which are not; LABELS is a file of labels, or a "
        "recording with labels in it. Both paths may be folders of files with the same names",
    )
    parser.set_defaults(main=explain)


def draw(spans: Sequence[Explained], *, ascii_only: bool = False) -> Iterator[str]:
    """Yield the lines of a drawing: each trace as a tree of its spans."""
    children: defaultdict[_Key, list[Explained]] = defaultdict(list)
    keys = {span.recorded.key for span in spans}
    traces: defaultdict[str, list[Explained]] = defaultdict(list)
    for span in spans:
        if span.recorded.parent_key in keys:
            children[span.recorded.parent_key].append(span)
        else:
            traces[span.recorded.trace_id].append(span)
    for trace_id, roots in traces.items():
        yield f"trace {trace_id}"
        # No recursion, because a trace can be deeper than Python's stack.
        waiting = [(span, 1) for span in reversed(roots)]
        while waiting:
            span, depth = waiting.pop()
            yield from _lines(span, depth, ascii_only=ascii_only)
            waiting += [(child, depth + 1) for child in reversed(children[span.recorded.key])]
        yield ""
    yield _summary(spans, len(traces))


def _lines(span: Explained, depth: int, *, ascii_only: bool) -> Iterator[str]:
    indent = "  " * min(depth, _MAX_INDENT) + (f"({depth}) " if depth > _MAX_INDENT else "")
    head = [span.recorded.name or "(no name)", span.kind or "nothing to us"]
    if span.path is not None:
        head.append(span.path)
    if span.request:
        head.append("request")
    yield indent + "  ".join(visible(part, ascii_only=ascii_only) for part in head)
    decided = span.dialect + (f", row {span.row}" if span.row else "")
    why = f"{decided}: {span.why}" if decided else span.why
    yield f"{indent}    {visible(why, ascii_only=ascii_only)}"
    path_in_file = span.recorded.label.get(wire.SESSION_PATH)
    if path_in_file is not None and path_in_file != span.path:
        note = f"in the file its path is {path_in_file}, from a step() or a header"
        yield f"{indent}    {visible(note, ascii_only=ascii_only)}"


def _summary(spans: Sequence[Explained], traces: int) -> str:
    with_kind = sum(span.kind is not None for span in spans)
    requests = counted(sum(span.request for span in spans), "request")
    return f"{counted(len(spans), 'span')} in {counted(traces, 'trace')}: {with_kind} with a kind, {requests}"


def explain(arguments: Namespace) -> int:
    """Run the command: print the labels of the spans in a file.

    Args:
        arguments: The parsed arguments.

    Returns:
        The exit code: 0, 1 if a field is not as the labels say, or 2 if a file or a setting cannot be used.
    """
    remove_sdk_variables()
    try:
        settings = Settings.from_environment(log=False)
    except SettingsError as error:
        return _failed(str(error))
    if arguments.score is not None:
        return _print_scores(arguments.file, arguments.score, settings, as_json=arguments.json)
    try:
        recording = read(arguments.file)
    except NotReadable as error:
        return _failed(f"{arguments.file}: {error}")
    registry = Registry(settings)
    reasons = Reasons(registry.reader)
    spans = [reasons.explain(replayed) for replayed in Replay(recording, registry).run()]
    if arguments.json:
        print(json.dumps([span.as_data() for span in spans], indent=1, default=str))
    else:
        for line in draw(spans, ascii_only=_is_ascii_only()):
            print(line)
    return 0


def _failed(message: str) -> int:
    print(f"helicone-otel explain: {message}", file=sys.stderr)
    return 2


def _is_ascii_only() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"


# --- --score ------------------------------------------------------------------------------------


def _print_scores(file: Path, labels: Path, settings: Settings, *, as_json: bool) -> int:
    scores = {}
    for one, its_labels in _pairs(file, labels):
        path = its_labels
        try:
            said = read_labels(path)
            path = one
            recording = read(path)
        except NotReadable as error:
            return _failed(f"{path}: {error}")
        scores[one.stem] = score(outcomes(recording, Registry(settings)), said)
    if not scores:
        return _failed(f"{file}: there is no file in it that has labels in {labels}")
    if as_json:
        print(json.dumps({name: one.as_data() for name, one in scores.items()}, indent=1, default=str))
    else:
        for line in table(scores):
            print(visible(line, ascii_only=_is_ascii_only()))
    return 1 if any(one.misses for one in scores.values()) else 0


def _pairs(file: Path, labels: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file with spans and the file with its labels."""
    if not file.is_dir():
        yield file, labels / file.name if labels.is_dir() else labels
        return
    for one in sorted(file.glob("*.json")):
        its_labels = labels / one.name if labels.is_dir() else labels
        if its_labels.exists():
            yield one, its_labels
