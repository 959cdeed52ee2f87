"""The Anthropic SDK 2.x, which makes its own spans and injects its own headers.

It injects into an empty `dict` and then overwrites the request's headers with what it finds there
(`anthropic/_tracing`), so a propagator can neither see nor spare what the caller set.
"""

from .._spans import Dialect, Row

ANTHROPIC = Dialect(
    name="anthropic",
    scopes=("com.anthropic.sdk.python",),
    rows=(
        Row(
            kind="llm", names=("anthropic.messages.create", "anthropic.messages.stream", "anthropic.completions.create")
        ),
        # What the SDK calls about sessions of managed agents is bookkeeping, not inference.
        Row(kind=None, names=("anthropic.sessions.*",)),
    ),
    bare_carriers=True,
)
