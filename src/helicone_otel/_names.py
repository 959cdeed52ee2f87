"""From a span's name to a segment: the same work has the same name, always.

Span names hold what a path must not: ids, counters, model names. Names that people gave to tools,
agents and steps do not come through here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from . import _wire

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
# Eight hex digits or more that are no word and no number: at least one letter and one digit.
_HEX_ID = re.compile(r"(?<![0-9a-z])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9a-z])", re.IGNORECASE)
# `Step 1`, `batch 3/40`, `item_17`, `attempt #2`; not `search_v2`, `gpt4`.
_COUNTER = re.compile(r"(?<=[\s_#:./\-(\[])[0-9]+(?=[\s_:./\-)\]]|\Z)|(?<=#)[0-9]+")
# Vendors' models as they occur in span names (`chat gpt-4o-mini`, `plan claude-sonnet-4-5`).
_MODEL = re.compile(
    r"(?<![0-9a-z])(?:(?:gpt|claude|gemini|gemma|llama|mistral|mixtral|command|deepseek|qwen|grok|nova|titan|phi)"
    r"-[0-9a-z][0-9a-z.\-]*|o[134](?:-(?:mini|pro|preview))?|text-embedding-[0-9a-z\-]+)(?![0-9a-z])",
    re.IGNORECASE,
)
_LEFT_OVER = re.compile(r"[\s_#:./\-]*[#:(\[][\s_#:./\-)\]]*\Z|[\s_#:./\-]+\Z|\A[\s#:./\-]+")
_REPEATED = re.compile(r"([\s_#:./\-])[\s_#:./\-]+")
# `{id}`, `:id`, `<int:id>`, `*` in a route.
_PARAMETER = re.compile(r"\{[^/]*\}|:[^/]+|<[^/]*>|\*[^/]*|\([^/]*\)")


@lru_cache(maxsize=2048)
def clean_name(name: str) -> str:
    """Return the segment for a span's name, without UUIDs, hex ids, counters and model names.

    Returns:
        A segment in wire form; empty if nothing of the name is left.
    """
    name = name[:512]
    shorter = _COUNTER.sub("", _HEX_ID.sub("", _MODEL.sub("", _UUID.sub("", name))))
    if shorter != name:
        shorter = _LEFT_OVER.sub("", _REPEATED.sub(r"\1", shorter))
    return _wire.wire_segment(shorter)


@lru_cache(maxsize=1024)
def clean_route(route: str) -> tuple[str, ...]:
    """Return the segments of a route or task name: `/trips/{id}/plan` is trips, plan."""
    levels = (clean_name(_PARAMETER.sub("", level)) for level in route[:512].split("/"))
    return tuple(level for level in levels if level)


def fit_template(template: str, name: str) -> str | None:
    """Return what stands for the `*` of a template in a name, or `None` if the name does not fit.

    A template without `*` fits only itself; one with it fits at the start, the end or both.
    """
    before, star, after = template.partition("*")
    if not star:
        return "" if name == template else None
    if len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after):
        return name[len(before) : len(name) - len(after)]
    return None
