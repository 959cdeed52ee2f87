"""What the stand-in models say: the same for the same request, whoever asks."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Final

# The first whose words occur in the prompt.
_REPLIES: Final = (
    ("name the city", "Porto"),
    ("review this plan", "Saturday: Livraria Lello, then the port lodges. Sunday: tram 1 to Foz. Train home at 18:52."),
    ("bicycle", "Yes: on Intercidades trains, with a reserved bicycle place."),
    ("plan two days", "Saturday: Livraria Lello and the port lodges. Sunday: tram 1 to the sea at Foz."),
    ("find trains", "Out on Friday at 17:39, back on Sunday at 18:52."),
)
# The model is overloaded when it is first asked this.
OVERLOADED: Final = "name the city"
_DIMENSIONS: Final = 64


def reply_to(prompt: str) -> str:
    """Return what a model says to a prompt."""
    prompt = prompt.lower()
    return next((reply for words, reply in _REPLIES if words in prompt), "I would rather not say.")


def embedding_of(text: str) -> list[float]:
    """Return a vector of length 1; texts that share words point in similar directions."""
    vector = [0.0] * _DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0] % _DIMENSIONS] += 1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def tokens(text: str) -> int:
    """Return roughly what a tokenizer counts."""
    return max(1, len(text) // 4)
