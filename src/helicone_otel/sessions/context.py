"""What the user opened on purpose: `session()` and `step()`, held in the OpenTelemetry Context."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast, overload

from opentelemetry import trace
from opentelemetry.context import Context, create_key, get_current, set_value

from .foreign import LOADED, SessionClaim, claim_in
from .model import Session, SessionPath, path_segments
from .scoped import Scoped

FRAME_KEY = create_key("helicone-otel-place")
# As long as it is: so many places exist. While none does, no Context needs to be searched for one.
# (Appending to a list and popping from it are atomic.)
OPEN_FRAMES: list[None] = []
_MAX_DEPTH = 128
_numbers = itertools.count(1)


class ContextFrame:
    """Where code said that it is: a session that it opened, a step inside one, or neither.

    Attributes:
        session: The session opened here; `None` for a step and for `session(None)`.
        steps: The segments that a step adds.
        detached: Opened by `session(None)`: nothing from outside holds here.
        outer: The place around it.
        anchor: The span that was current when it was opened.
        number: Grows with every place, so that of two the newer is known.
        left: It was left in a way that could not restore the Context.
        record: The registry's own record of it.
        claim: What other SDKs' scopes said around it.
    """

    __slots__ = ("anchor", "claim", "depth", "detached", "left", "number", "outer", "record", "session", "steps")

    def __init__(
        self,
        session: Session | None,
        steps: tuple[str, ...] = (),
        detached: bool = False,
        context: Context | None = None,
    ) -> None:
        self.session = session
        self.steps = steps
        self.detached = detached
        outer = None if detached else current_frame(context)
        self.depth: int = outer.depth + 1 if outer is not None else 0
        # A callback that schedules itself opens each place inside the last: such a line has an end.
        self.outer = outer if self.depth % _MAX_DEPTH else None
        self.anchor: trace.Span = trace.INVALID_SPAN if detached else trace.get_current_span(context)
        self.number = next(_numbers)
        self.left = False
        self.record: Any = None
        self.claim: SessionClaim | None = claim_in(get_current() if context is None else context) if LOADED else None
        OPEN_FRAMES.append(None)

    def __del__(self) -> None:
        OPEN_FRAMES.pop()

    def within(self, context: Context) -> Context:
        """Return a Context in which this place is the current one."""
        return set_value(FRAME_KEY, self, context)

    def holds(self, context: Context) -> bool:
        """Tell whether a Context lies inside of this place."""
        frame = cast("ContextFrame | None", context.get(FRAME_KEY))
        while frame is not None and frame is not self:
            frame = frame.outer
        return frame is self

    def returned(self, value: object) -> None:
        """Take no note of it: a place has no content."""

    def yielded(self, item: object) -> None:
        """Take no note of it: a place has no content."""

    def close(self, error: BaseException | None) -> None:
        """Do nothing: a place ends by being left."""


def current_frame(context: Context | None = None) -> ContextFrame | None:
    """Return the place that a Context holds, walking past those that were left."""
    frame = cast("ContextFrame | None", (get_current() if context is None else context).get(FRAME_KEY))
    while frame is not None and frame.left:
        frame = frame.outer
    return frame


@overload
def session(
    name: str,
    *,
    id: str | int | uuid.UUID | None = None,
    path: str | SessionPath = "/",
    user_id: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> Scoped[Session]: ...
@overload
def session(
    name: None,
    *,
    id: str | int | uuid.UUID | None = None,
    path: str | SessionPath = "/",
    user_id: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> Scoped[None]: ...
@overload
def session(
    name: str | None,
    *,
    id: str | int | uuid.UUID | None = None,
    path: str | SessionPath = "/",
    user_id: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> Scoped[Session | None]: ...
def session(
    name: str | None,
    *,
    id: str | int | uuid.UUID | None = None,  # noqa: A002  # the word users know
    path: str | SessionPath = "/",
    user_id: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> Scoped[Session | None]:
    """Open a session: everything below it is one task in Helicone.

    Args:
        name: Human-readable, the same for all sessions of a kind ("Trip Planning"). An empty one
            falls back to the settings. `None` detaches: what follows belongs to no session that was
            opened outside, as a long-lived worker needs it.
        id: Identifies the session; a fresh UUIDv4 per opening if not given.
        path: Where the session begins in the hierarchy, starting with `/`.
        user_id: For `Helicone-User-Id`.
        properties: For `Helicone-Property-<name>`; names must be header tokens.

    Returns:
        A context manager (`with`, `async with`) that gives the `Session`, or `None` for `session(None)`, and a
        decorator.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `path` does not start with `/`.
    """
    if name is None:
        return _scoped(lambda: ContextFrame(None, detached=True))
    if not isinstance(name, str):
        raise TypeError(f"session() takes a name, a str or None, not {type(name).__name__}")
    if user_id is not None and not isinstance(user_id, str):
        raise TypeError(f"session(user_id=…) is a str, not {type(user_id).__name__}")
    if properties is not None and not isinstance(properties, Mapping):
        raise TypeError(f"session(properties=…) is a mapping, not {type(properties).__name__}")
    fixed_id = _id_text(id)
    begin = path if isinstance(path, SessionPath) else SessionPath(path)
    chosen = dict(properties or {})

    def make() -> ContextFrame:
        fresh = fixed_id or str(uuid.uuid4())
        return ContextFrame(Session(fresh, name.strip() or None, begin, user_id, chosen))

    return _scoped(make)


def step(name: str) -> Scoped[Session | None]:
    """Go one or more levels deeper: `step("research")`, `step("research/web")`.

    Args:
        name: A function of the work, never an occurrence: no ids, no counters. It stays as it is
            but for blanks, which become `_`.

    Returns:
        A context manager (`with`, `async with`) and a decorator.

    Raises:
        TypeError: `name` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"step() takes a name, a str, not {type(name).__name__}")
    steps = path_segments(name)
    return _scoped(lambda: ContextFrame(None, steps))


def _id_text(value: str | int | uuid.UUID | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | uuid.UUID):
        raise TypeError(f"session(id=…) is a str, int or UUID, not {type(value).__name__}")
    return str(value).strip()


def _scoped(make: Callable[[], ContextFrame]) -> Scoped[Session | None]:
    return Scoped(make, _session_of)


def _session_of(frame: ContextFrame) -> Session | None:
    return frame.session
