"""What spans say of a call, and whether two of them can mean the same one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..spans.providers import providers_in
from .records import attributes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_NO_ATTRIBUTES: Final[Mapping[str, object]] = {}
# How much content is compared of a span and of one text, in characters.
_MAX_CONTENT: Final = 8192
_MAX_TAIL: Final = 1024
_WORD: Final = re.compile(r"\w+")
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


def content_of(span: ReadableSpan) -> frozenset[int]:
    """Return the words in a span's attributes, in hashes: those at the end of each text, in whatever form it is.

    Conventions write the same messages in different forms. The words in them are the same.
    """
    left, words = _MAX_CONTENT, set[int]()
    for value in (attributes_of(span) or _NO_ATTRIBUTES).values():
        if isinstance(value, str) and left > 0:
            tail = value[-min(left, _MAX_TAIL) :]
            left -= len(tail)
            words.update(map(hash, _WORD.findall(tail)))
    return frozenset(words)
