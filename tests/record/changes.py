"""What two recordings of one family have not in common: spans, kinds, attributes, and what we say of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.support import replay

# What stands above a span as well as its own name: between two runs no ids are the same.
_Key = tuple[str, str, str, int]


class Sight(NamedTuple):
    """What is compared of a span."""

    parent: str
    kind: str
    name: str
    at_start: frozenset[str]
    at_end: frozenset[str]
    said: tuple[object, ...]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what changed from one recording to the next, a line each."""
    for package, version in after["packages"].items():
        if (was := before["packages"].get(package)) != version:
            yield f"{package}: {was or 'none'} → {version}"
    old, new = _sights(before), _sights(after)
    for key in sorted(old.keys() | new.keys()):
        where = f"{key[0]}: {key[2]!r} ({key[1]}{f', {key[3]}' if key[3] > 1 else ''})"
        if key not in new:
            yield f"{where} is gone"
        elif key not in old:
            yield f"{where} is new"
        else:
            yield from (f"{where} {change}" for change in _differences(old[key], new[key]))


def _sights(recording: Mapping[str, Any]) -> dict[_Key, Sight]:
    names = {span["span_id"]: span["name_at_start"] for span in recording["spans"]}
    said = replay.replay(dict(recording))
    counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    sights = {}
    for span in sorted(recording["spans"], key=lambda span: int(span["start_seq"])):
        key = span["scenario"], span["scope"]["name"], span["name_at_start"]
        counts[key] += 1
        outcome = said[span["span_id"]]
        sights[(*key, counts[key])] = Sight(
            names.get(span["parent_span_id"], "nothing"),
            span["kind"],
            span["name"],
            _keys(span["attributes_at_start"]),
            _keys(span.get("attributes_at_end", {})),
            (outcome.kind, outcome.path, outcome.request),
        )
    return sights


def _keys(attributes: Mapping[str, Any]) -> frozenset[str]:
    # Of lists that are spread over attributes, `llm.input_messages.0.message.role`, the length does not count.
    return frozenset(re.sub(r"\.\d+(?=\.|$)", ".#", key) for key in attributes)


def _differences(old: Sight, new: Sight) -> Iterator[str]:
    for what, was, now in (
        ("stands below", old.parent, new.parent),
        ("is of kind", old.kind, new.kind),
        ("is called", old.name, new.name),
        ("is said to be", old.said, new.said),
    ):
        if was != now:
            yield f"{what} {now}, and no longer {was}"
    for when, were, are in (("at start", old.at_start, new.at_start), ("at the end", old.at_end, new.at_end)):
        if gained := sorted(are - were):
            yield f"has gained {when}: {', '.join(gained)}"
        if lost := sorted(were - are):
            yield f"has lost {when}: {', '.join(lost)}"
