"""Compare two recordings of a family: their spans and attributes, and how this library classifies the spans."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.support import replay

# The scenario, scope, name and number of a span. Ids differ between two runs, also those in names.
_Key = tuple[str, str, str, int]
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class RecordedFacts(NamedTuple):
    """The facts of a span that are compared."""

    parent: str
    kind: str
    name: str
    at_start: frozenset[str]
    at_end: frozenset[str]
    classified: tuple[object, ...]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each change from one recording to the next."""
    for package, version in after["packages"].items():
        if (was := before["packages"].get(package)) != version:
            yield f"{package}: {was or 'none'} → {version}"
    old, new = _facts_of(before), _facts_of(after)
    for key in sorted(old.keys() | new.keys()):
        where = f"{key[0]}: {key[2]!r} ({key[1]}{f', {key[3]}' if key[3] > 1 else ''})"
        if key not in new:
            yield f"{where} is gone"
        elif key not in old:
            yield f"{where} is new"
        else:
            yield from (f"{where} {change}" for change in _differences(old[key], new[key]))


def _facts_of(recording: Mapping[str, Any]) -> dict[_Key, RecordedFacts]:
    names = {span["span_id"]: _without_ids(span["name_at_start"]) for span in recording["spans"]}
    outcomes = replay.replay(dict(recording))
    counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    facts = {}
    for span in sorted(recording["spans"], key=lambda span: int(span["start_seq"])):
        key = span["scenario"], span["scope"]["name"], _without_ids(span["name_at_start"])
        counts[key] += 1
        outcome = outcomes[span["span_id"]]
        facts[(*key, counts[key])] = RecordedFacts(
            names.get(span["parent_span_id"], "no parent"),
            span["kind"],
            _without_ids(span["name"]),
            _keys(span["attributes_at_start"]),
            _keys(span.get("attributes_at_end", {})),
            (outcome.kind, outcome.path, outcome.request),
        )
    return facts


def _without_ids(name: str) -> str:
    return re.sub(_ID, "<id>", name)


def _keys(attributes: Mapping[str, Any]) -> frozenset[str]:
    # The length of a list in indexed attributes, such as `llm.input_messages.0.message.role`, does not matter.
    return frozenset(re.sub(r"\.\d+(?=\.|$)", ".#", key) for key in attributes)


def _differences(old: RecordedFacts, new: RecordedFacts) -> Iterator[str]:
    for what, was, now in (
        ("is below", old.parent, new.parent),
        ("is of kind", old.kind, new.kind),
        ("is called", old.name, new.name),
        ("is classified as", old.classified, new.classified),
    ):
        if was != now:
            yield f"{what} {now}, and no longer {was}"
    for when, were, are in (("at start", old.at_start, new.at_start), ("at the end", old.at_end, new.at_end)):
        if gained := sorted(are - were):
            yield f"has gained {when}: {', '.join(gained)}"
        if lost := sorted(were - are):
            yield f"has lost {when}: {', '.join(lost)}"
