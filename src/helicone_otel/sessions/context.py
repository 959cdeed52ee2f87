"""`session()` and `step()`, and the context frame by which OpenTelemetry's Context holds an open one."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast, overload

from opentelemetry import trace
from opentelemetry.context import Context, create_key, get_current, set_value

from .. import wire
from .foreign import IMPORTED, SessionClaim, claim_in
from .model import Session, SessionPath, path_segments
from .scoped import Scoped

FRAME_KEY = create_key("helicone-otel-frame")
# The key under which a Context holds the current span. `get_current_span` is five calls.
SPAN_KEY = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
# Has one entry for each context frame that exists in the process. While it is empty, no Context can hold a frame,
# and the hot paths skip the search. A list serves as the counter, because `append` and `pop` are atomic without a lock.
OPEN_FRAMES: list[None] = []
_MAX_DEPTH = 128
_numbers = itertools.count(1)


class ContextFrame:
    """One open `session()` or `step()`, as OpenTelemetry's Context holds it.

    Args:
        session: The session that is opened; `None` for a step and for `session(None)`.
        steps: The segments that a step adds.
        detached: Whether `session(None)` opens it, so that nothing outside of it counts.
        context: The Context in which it is opened; the current one if not given.

    Attributes:
        session: The same.
        steps: The same.
        detached: The same.
        outer: The frame that encloses it, if there is one.
        depth: How many frames enclose it.
        anchor: The span that was current when it was opened.
        number: Grows with every frame, so that the newer of two frames can be found.
        stale: The block has ended, but a Context may still hold the frame. It no longer counts.
        record: The registry's record of it.
        claim: The session claim that the Context held when it was opened.
    """

    __slots__ = ("anchor", "claim", "depth", "detached", "number", "outer", "record", "session", "stale", "steps")

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
        # A callback that schedules itself opens each frame inside the one before. The chain is cut at some depth, so
        # that it does not hold memory for ever.
        self.outer = outer if self.depth % _MAX_DEPTH else None
        self.anchor: trace.Span = trace.INVALID_SPAN if detached else trace.get_current_span(context)
        self.number = next(_numbers)
        self.stale = False
        self.record: Any = None
        self.claim: SessionClaim | None = claim_in(get_current() if context is None else context) if IMPORTED else None
        OPEN_FRAMES.append(None)

    def __del__(self) -> None:
        OPEN_FRAMES.pop()

    def __copy__(self) -> ContextFrame:
        """Return the frame itself: a copy of a Context is in the same block."""
        return self

    def __deepcopy__(self, _: dict[int, object]) -> ContextFrame:
        """Return the frame itself. A copy that is made without the constructor is not counted, and must not be."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Make a frame with the same session and steps where a pickled Context is read."""
        return _unpickled, (type(self), self.session, self.steps, self.detached, self.outer)

    def within(self, context: Context) -> Context:
        """Return a Context in which this frame is the innermost one."""
        return set_value(FRAME_KEY, self, context)

    def holds(self, context: Context) -> bool:
        """Tell whether a Context holds this frame, or one that is opened inside it."""
        frame = cast("ContextFrame | None", context.get(FRAME_KEY))
        while frame is not None and frame is not self:
            frame = frame.outer
        return frame is self

    def returned(self, value: object) -> None:
        """Do nothing: a session block records no content."""

    def yielded(self, item: object) -> None:
        """Do nothing: a session block records no content."""

    def close(self, error: BaseException | None) -> None:
        """Do nothing: a session block has no span to end."""


def _unpickled(
    kind: type[ContextFrame],
    session: Session | None,
    steps: tuple[str, ...],
    detached: bool,
    outer: ContextFrame | None,
) -> ContextFrame:
    frame = kind(session, steps, detached, Context())
    frame.outer, frame.depth = outer, outer.depth + 1 if outer is not None else 0
    return frame


def current_frame(context: Context | None = None) -> ContextFrame | None:
    """Return the innermost frame that a Context holds and whose block has not ended."""
    frame = cast("ContextFrame | None", (get_current() if context is None else context).get(FRAME_KEY))
    while frame is not None and frame.stale:
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
    """Open a session: Helicone shows everything inside it as one task.

        with session("Trip Planning", id=conversation_id, user_id="user-42"):
            agent.run(question)

        @session("Nightly Report")
        async def report() -> None: ...

    Args:
        name: Human-readable, and the same for all sessions of a kind ("Trip Planning"). With an empty name, the
            session gets the name that the settings give. `None` detaches: the block belongs to no session that was
            opened outside of it. A long-lived worker needs that.
        id: Identifies the session. If not given, each block and each call gets a new UUIDv4.
        path: The path at which the session begins, starting with `/`.
        user_id: The user's id, for the header `Helicone-User-Id`.
        properties: Values by name, for the headers `Helicone-Property-<name>`. Names must be header tokens, values
            become text.

    Returns:
        A context manager (`with`, `async with`) that gives the `Session`, or `None` for `session(None)`. It is a
        decorator, too.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `path` does not start with `/`.
    """
    if name is None:
        return _scoped(lambda: ContextFrame(None, detached=True))
    if not isinstance(name, str):
        raise TypeError(f"session(name) must be a str or None, not {type(name).__name__}")
    if user_id is not None and not isinstance(user_id, str):
        raise TypeError(f"session(user_id=…) must be a str, not {type(user_id).__name__}")
    if properties is not None and not isinstance(properties, Mapping):
        raise TypeError(f"session(properties=…) must be a mapping, not {type(properties).__name__}")
    given_id = _id_text(id)
    root_path = path if isinstance(path, SessionPath) else SessionPath(path)
    # A copy, because the caller may change its own later.
    own_properties = dict(properties or {})

    def open_session() -> ContextFrame:
        session_id = given_id or str(uuid.uuid4())
        return ContextFrame(Session(session_id, name.strip() or None, root_path, user_id, own_properties))

    return _scoped(open_session)


def step(name: str) -> Scoped[Session | None]:
    """Go one or more levels deeper in the path of the session.

        with step("research"):  # /research
            with step("web/search"):  # /research/web/search
                search(question)

    Args:
        name: Names a function of the work, never an occurrence, so it has no ids and no counters. Each `/` begins
            another level, and blanks become `_`.

    Returns:
        A context manager (`with`, `async with`) that gives `None`. It is a decorator, too.

    Raises:
        TypeError: `name` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"step(name) must be a str, not {type(name).__name__}")
    steps = path_segments(name)
    return _scoped(lambda: ContextFrame(None, steps))


def _id_text(value: str | int | uuid.UUID | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | uuid.UUID):
        raise TypeError(f"session(id=…) must be a str, an int or a UUID, not {type(value).__name__}")
    text = str(value).strip()
    return "" if wire.is_blank(text) else text


def _scoped(open_frame: Callable[[], ContextFrame]) -> Scoped[Session | None]:
    return Scoped(open_frame, _session_of)


def _session_of(frame: ContextFrame) -> Session | None:
    return frame.session
