"""How many fields of the labels of replayed spans are as a person says: `helicone-otel explain --score LABELS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ... import wire
from ...tracking.registry import Registry
from ...wire import KINDS
from ..terminal import counted
from .player import Replay
from .reasons import Reasons
from .spans import NotReadable, RecordedSpan, Recording

Labels = Mapping[str, Mapping[str, Any]]


class Outcome(NamedTuple):
    """The label of one replayed span.

    Attributes:
        recorded: The span.
        kind_at_start: Its kind when it started.
        kind: Its kind when it had ended.
        path: Its path when it had ended; `/` if it belongs to no session.
        path_in_headers: The path in the first headers that left while it was current; `None` if no headers left.
        request: Whether it is a request.
        session_id: Its session; `None` if it belongs to no session.
    """

    recorded: RecordedSpan
    kind_at_start: str | None
    kind: str | None
    path: str
    path_in_headers: str | None
    request: bool
    session_id: str | None


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


def outcomes(recording: Recording, registry: Registry) -> Iterator[Outcome]:
    """Replay a recording and yield what the library says of each span.

    Args:
        recording: The spans.
        registry: Labels the spans. It must be new.
    """
    reasons = Reasons(registry.reader)
    injecting = {injection.span_id for injection in recording.injections}
    for replayed in Replay(recording, registry).run():
        recorded, label = replayed.recorded, replayed.final.attributes or {}
        in_headers = (replayed.path_at_injection or "/") if recorded.span_id in injecting else None
        kind, session_id = label.get(wire.SPAN_KIND), label.get(wire.SESSION_ID)
        yield Outcome(
            recorded,
            replayed.at_start.kind,
            str(kind) if kind else None,
            str(label.get(wire.SESSION_PATH, "/")),
            in_headers,
            reasons.explain(replayed).request,
            str(session_id) if session_id else None,
        )


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


_TYPES: Final = {"kind": (str, type(None)), "path": (str,), "request": (bool,)}


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
