"""`helicone-otel explain FILE`: the label of each span in a file, the row that decided it, and how many are right."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ... import wire
from ...settings import Settings, SettingsError
from ...tracking.registry import Registry
from ...wire import KINDS
from ..replay.files import read
from ..replay.player import Replay, remove_sdk_variables
from ..replay.reasons import Explained, Outcome, Reasons, outcomes
from ..replay.spans import NotReadable, RecordedSpan
from ..terminal import counted, visible

# A deeper tree is wider than a terminal, so the depth is written as a number.
_MAX_INDENT: Final = 24
_Key = tuple[str, str]
# By span id, what a person says.
Labels = Mapping[str, Mapping[str, Any]]
_TYPES: Final = {"kind": (str, type(None)), "path": (str,), "request": (bool,)}


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


class Field(NamedTuple):
    """One field of a label.

    Attributes:
        key: What the label calls it.
        actual: Returns what the library says.
        is_open: Returns whether people may disagree about it, so that it is not scored.
    """

    key: str
    actual: Callable[[Outcome], object]
    is_open: Callable[[Mapping[str, Any], Outcome], object]


FIELDS: Final[Mapping[str, Field]] = {
    "kind at start": Field(
        "kind",
        lambda outcome: outcome.kind_at_start,
        lambda label, _: _is_open(label, "kind") or not label.get("kind_knowable_at_start", True),
    ),
    "kind at end": Field("kind", lambda outcome: outcome.kind, lambda label, _: _is_open(label, "kind")),
    "path when headers leave": Field(
        "path",
        lambda outcome: outcome.path_in_headers,
        lambda label, outcome: label.get("path_ambiguous") or outcome.path_in_headers is None,
    ),
    "path at end": Field("path", lambda outcome: outcome.path, lambda label, _: label.get("path_ambiguous")),
    "requests": Field("request", lambda outcome: outcome.request, lambda label, _: _is_open(label, "request")),
}


class Miss(NamedTuple):
    """A field that is not as a person says."""

    field: str
    span: RecordedSpan
    expected: object
    actual: object

    def __str__(self) -> str:
        span = self.span
        was = f", {span.name_at_start} when it started" if span.name_at_start != span.name else ""
        return (
            f"{span.name}{was} (scope {span.scope}, span {span.span_id}): "
            f"{self.field} is {self.actual}, and the label says {self.expected}"
        )

    def as_data(self) -> dict[str, Any]:
        """Return the miss as JSON's types."""
        return {
            "span_id": self.span.span_id,
            "name": self.span.name,
            "scope": self.span.scope,
            "field": self.field,
            "expected": self.expected,
            "actual": self.actual,
        }


class Score(NamedTuple):
    """The score of one file.

    Attributes:
        scored: By field, on how many spans it was scored.
        misses: The fields that are not as a person says.
        unlabelled: How many spans of the file have no label.
    """

    scored: Mapping[str, int]
    misses: tuple[Miss, ...]
    unlabelled: int

    def missed(self, field: str) -> int:
        """Return on how many spans a field is not as a person says."""
        return sum(miss.field == field for miss in self.misses)

    def right(self, field: str) -> int:
        """Return on how many spans a field is as a person says."""
        return self.scored[field] - self.missed(field)

    def as_data(self) -> dict[str, Any]:
        """Return the score as JSON's types."""
        fields = {name: {"scored": self.scored[name], "right": self.right(name)} for name in FIELDS}
        return {"fields": fields, "misses": [miss.as_data() for miss in self.misses], "unlabelled": self.unlabelled}


def table(scores: Mapping[str, Score]) -> Iterator[str]:
    """Yield the lines of a table of scores by the names of their files, and a line for each miss below it."""
    width = max(map(len, scores))
    yield _line("", width, FIELDS)
    for name, one in scores.items():
        yield _line(name, width, (f"{one.right(field)}/{one.scored[field]}" for field in FIELDS))
    if len(scores) > 1:
        yield _line("all", width, (_share(scores.values(), field) for field in FIELDS))
    for name, one in scores.items():
        for miss in one.misses:
            yield f"{name}: {miss}"
        if one.unlabelled:
            yield f"{name}: {counted(one.unlabelled, 'span')} without a label"


def _line(name: str, width: int, columns: Iterable[str]) -> str:
    return f"{name:{width}}" + "".join(f"  {text:>{len(field)}}" for text, field in zip(columns, FIELDS, strict=True))


def _share(scores: Iterable[Score], field: str) -> str:
    scored = sum(one.scored[field] for one in scores)
    return f"{100 * sum(one.right(field) for one in scores) / scored:.1f} %" if scored else "-"


def score(found: Iterable[Outcome], labels: Labels) -> Score:
    """Compare outcomes with the labels that a person wrote.

    Args:
        found: What the library says.
        labels: By span id, what a person says; `read_labels` has read them.
    """
    scored, misses, unlabelled = dict.fromkeys(FIELDS, 0), [], 0
    for outcome in found:
        label = labels.get(outcome.recorded.span_id)
        if label is None:
            unlabelled += 1
            continue
        for name, field in FIELDS.items():
            if field.is_open(label, outcome):
                continue
            scored[name] += 1
            expected, actual = label[field.key], field.actual(outcome)
            if expected != actual:
                misses.append(Miss(name, outcome.recorded, expected, actual))
    return Score(scored, tuple(misses), unlabelled)


def read_labels(path: Path) -> Labels:
    """Return the labels in a file, by span id.

    Args:
        path: A recording with its labels in it, or a JSON file with a label for each span id under `spans`.

    Raises:
        NotReadable: There is no such file, or it holds no labels. The message says what is wrong and where.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotReadable(error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise NotReadable(f"it is not JSON: {error}") from error
    found = document.get("labels", document.get("spans")) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise NotReadable("there are no labels in it: expected an object of span ids under `labels` or `spans`")
    for span_id, label in found.items():
        if problem := _problem(label):
            raise NotReadable(f"the label of span {span_id!r:.40}: {problem}")
    return found


def _problem(label: object) -> str:
    if not isinstance(label, dict):
        return "it is not an object"
    for key, types in _TYPES.items():
        if key not in label:
            return f"{key} is missing"
        if not isinstance(label[key], types):
            return f"{key} is {label[key]!r:.40}"
    if not isinstance(label.get("ambiguous_on", []), list):
        return f"ambiguous_on is {label['ambiguous_on']!r:.40}"
    if label["kind"] is not None and label["kind"] not in KINDS:
        return f"there is no kind {label['kind']!r:.40}"
    return ""


def _is_open(label: Mapping[str, Any], field: str) -> bool:
    return field in label.get("ambiguous_on", ())
