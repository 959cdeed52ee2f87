"""What spans say of a call, and whether two of them can mean the same one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ..spans.providers import providers_in
from .records import attributes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_NO_ATTRIBUTES: Final[Mapping[str, object]] = {}
# How much content is compared of a span, in characters and in pieces.
_MAX_CONTENT: Final = 65_536
_MAX_PIECES: Final = 256
# What may follow a model's name in the name of one of its versions: `-2024-07-18`, `-001`, `@latest`, `:v2`.
_VERSION: Final = r"(?:[-@:]v?[0-9][0-9a-z.:-]*|[-@:]latest)\Z"
# What may follow a query in the text that reaches the driver: a comment, the final semicolon.
_COMMENT: Final = r"[\s;]*(?:/\*|\Z)"


class CallDetails(NamedTuple):
    """What spans say about the call that they describe.

    Attributes:
        response_id: The provider's id of the answer.
        providers: Names of the provider.
        texts: The models of an LLM call or embedding; the query of anything else.
    """

    response_id: str | None = None
    providers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def name_same(self, other: CallDetails) -> bool:
        """Tell whether both name the same provider, and the same model or query."""
        if self._have_other_answer(other) or self._name_other_providers(other):
            return False
        return any(_texts_agree(_bare(one), _bare(another)) for one in self.texts for another in other.texts)

    def may_come_to(self, other: CallDetails) -> bool:
        """Tell whether a span that has not ended may still come to say the same as one that has."""
        if self.response_id is not None and self.response_id == other.response_id:
            return True
        if not self.texts or not other.texts:
            return not (self._have_other_answer(other) or self._name_other_providers(other))
        return self.name_same(other)

    def joined(self, other: CallDetails) -> CallDetails:
        """Return what two spans of one call say together."""
        providers = tuple(dict.fromkeys((*self.providers, *other.providers)))
        return CallDetails(
            self.response_id or other.response_id, providers, tuple(dict.fromkeys((*self.texts, *other.texts)))
        )

    def _have_other_answer(self, other: CallDetails) -> bool:
        return None not in (self.response_id, other.response_id) and self.response_id != other.response_id

    def _name_other_providers(self, other: CallDetails) -> bool:
        one, another = providers_in(self.providers), providers_in(other.providers)
        return bool(one and another and one.isdisjoint(another))


def _texts_agree(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if not longer.startswith(shorter):
        return False
    rest = longer[len(shorter) :]
    return not rest or re.match(_VERSION, rest) is not None or re.match(_COMMENT, rest) is not None


def _bare(text: str) -> str:
    # Routers put a provider before the model: `openai/gpt-4o`.
    return text.lower() if " " in text else text.lower().rpartition("/")[2]


def content_of(span: ReadableSpan) -> frozenset[str]:
    """Return the texts in a span's attributes, in whatever convention they are written."""
    left, pieces = _MAX_CONTENT, set[str]()
    for value in (attributes_of(span) or _NO_ATTRIBUTES).values():
        if isinstance(value, str) and len(value) <= left:
            left -= len(value)
            pieces.update(islice(_texts_in(value), _MAX_PIECES))
    return frozenset(pieces)


def _texts_in(value: str) -> Iterator[str]:
    if not value.startswith(("[", "{")):
        yield value
        return
    try:
        waiting = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            waiting.extend(item.values() if isinstance(item, dict) else item)
