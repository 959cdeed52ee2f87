"""Path segments from span names and routes, so that the same work always has the same path.

Span names contain ids, counters and model names, which a path must not contain. Names that people gave to tools,
agents and steps are not cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .. import wire

# Patterns are texts, so that importing this module costs next to nothing: `re` compiles a pattern at its first use and
# keeps it.
_UUID = r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_UUID_LENGTH = 32
# Eight hex digits or more, of them at least one letter and one digit: neither a word nor a number.
_HEX_ID = r"(?i)(?<![0-9a-z])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])"
# `2026-11-22`, `2026-11-22T10:00:00.5Z`
_TIMESTAMP = (
    r"(?i)(?<![0-9a-z])[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[t _][0-9]{2}:?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?(?:z|[+\-][0-9]{2}:?[0-9]{2})?)?(?![0-9a-z])"
)
# `Step 1`, `1. Search`, `batch 3/40`, `item_17`, `attempt #2`; not `search_v2`, `gpt4`.
_COUNTER = r"(?<![^\s_#:./\-(\[])[0-9]+(?![^\s_:./\-)\]])|(?<=#)[0-9]+"
# Names of vendors' models in span names (`chat gpt-4o-mini`, `plan claude-sonnet-4-5`). A version's digit or a word for
# the size distinguishes them from `gpt-researcher` and `command-line`.
_MODEL = (
    r"(?i)(?<![0-9a-z])(?:(?:gpt|claude|gemini|gemma|llama|mistral|mixtral|command|deepseek|qwen|grok|nova|titan|phi)-"
    r"(?=[a-z.\-]*[0-9]|(?:[a-z]+-)*(?:large|medium|small|mini|nano|micro|lite|light|pro|premier|flash|max|plus|turbo|r"
    r"|instruct|instant|reasoner|opus|sonnet|haiku|latest|beta)(?![0-9a-z])|(?<=deepseek-)(?:chat|coder))"
    r"[0-9a-z][0-9a-z.\-]*(?:@[0-9a-z]+)?"
    r"|o[134](?:-(?:mini|pro|preview))?|text-embedding-[0-9a-z\-]+)(?![0-9a-z])"
)
_OCCURRENCES = (_UUID, _MODEL, _HEX_ID, _TIMESTAMP, _COUNTER)
_EMPTY_BRACKETS = r"[(\[][\s_#:./\-]*[)\]]"
_LOOSE_PUNCTUATION = r"[\s_#:./\-]*[#:(\[][\s_#:./\-)\]]*\Z|[\s_#:./\-]+\Z|\A[\s_#:./\-]+"
_REPEATED = r"([\s_#:./\-])[\s_#:./\-]+"
# Django's routes may be regular expressions: `^trips/(?P<id>[^/]+)/plan$`.
_GROUP = r"\([^()]*\)"
# `{id}`, `:id`, `<int:id>`, `*` in a route.
_PARAMETER = r"\{[^/]*\}|:[^/]+|<[^/]*>|\*[^/]*|\([^/]*\)"


@lru_cache(maxsize=2048)
def clean_name(name: str) -> str:
    """Return the segment for a span's name, without UUIDs, hex ids, timestamps, counters and model names.

    Returns:
        A segment in wire form; empty if nothing of the name is left.
    """
    segment = wire.wire_segment(_without_occurrences(without_enclosing(name[:512])))
    # Removing a part may join its neighbours to a new id, and cutting a long name may leave a number at its end.
    while (shorter := _without_occurrences(segment)) != segment:
        segment = shorter
    return segment


def without_enclosing(name: str) -> str:
    """Return a name without the functions that enclose the one that it names: `answer.<locals>.look_up`."""
    return name.rpartition("<locals>.")[2]


def is_made_up(name: str) -> bool:
    """Return whether a name contains a UUID, so that no person gave it."""
    return len(name) >= _UUID_LENGTH and re.search(_UUID, name[:512]) is not None


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID and nothing else."""
    return re.fullmatch(_UUID, text[: 2 * _UUID_LENGTH]) is not None


def _without_occurrences(name: str) -> str:
    shorter = name
    for occurrence in _OCCURRENCES:
        shorter = re.sub(occurrence, "", shorter)
    if shorter == name:
        return name
    shorter = re.sub(_EMPTY_BRACKETS, "", shorter)
    return re.sub(_LOOSE_PUNCTUATION, "", re.sub(_REPEATED, r"\1", shorter))


@lru_cache(maxsize=1024)
def clean_route(route: str) -> tuple[str, ...]:
    """Return the segments of a route or task name, without parameters: `/trips/{id}/plan` gives `trips`, `plan`."""
    route = re.sub(_GROUP, "", route[:512])
    levels = (clean_name(re.sub(_PARAMETER, "", level).strip("^$")) for level in route.split("/"))
    return tuple(level for level in levels if level)


def fit_template(template: str, name: str) -> str | None:
    """Return the part of a name that `*` stands for in a template, or `None` if the name does not fit.

    The `*` may stand at any position of the template, and for an empty text. A template without `*` fits only itself,
    and the part is empty.
    """
    before, star, after = template.partition("*")
    if not star:
        return "" if name == template else None
    if len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after):
        return name[len(before) : len(name) - len(after)]
    return None


def fits_any(templates: Iterable[str], name: str) -> bool:
    """Return whether a name fits one of some templates."""
    return any(fit_template(template, name) is not None for template in templates)
