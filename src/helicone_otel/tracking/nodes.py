"""Where a span stands: session, path and label in one immutable node.

Nodes form a tree, and spans that stand alike share one: the second `web_search` below the same step
of the same session costs a look-up. A node never changes; a span that shows itself late moves to
another one, and what is below it follows when it is asked.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from .. import wire
from ..caches import Recent
from ..sessions.model import Session
from ..spans.reader import ScopeRules
from ..spans.schema import CALL_KINDS, Classification
from ..wire import SURELY_SHORT, bounded

_MAX_CHILDREN: Final = 256
_MAX_NODES: Final = 4096


class NodeKey(NamedTuple):
    """What distinguishes spans that stand below the same node."""

    kind: str | None = None
    segments: tuple[str, ...] = ()
    gen_ai: bool = False
    """OpenTelemetry's GenAI conventions describe the span, so it may name a conversation."""
    entry_route: str = ""
    """The path of the route or task by which work came in here."""
    grouped_by: str = ""
    """The attribute by which the backend of whoever made the span groups."""


class SpanTemplate(NamedTuple):
    """What spans have in common that show the same and stand below the same node.

    Attributes:
        classification: What they are.
        node: Where they stand.
        base: The node below which that is.
        name: Their name.
        scope: Their instrumentation scope.
        span_kind: OpenTelemetry's kind of these spans.
        values_of: Returns the values of those attributes that matter; `None`: none does.
        values: These values.
        size: How many attributes they have, our label included.
        leaf: They need no record of their own while nothing is below them.
        request: Without anything below it, each stands for a real call.
        call: The kind of that call.
    """

    classification: Classification
    node: PathNode
    base: PathNode
    name: str
    scope: ScopeRules
    span_kind: object
    values_of: Callable[[Mapping[str, object]], object] | None
    values: object
    size: int
    leaf: bool
    request: bool
    call: str | None


class _Nodes:
    """All nodes of one tree: a session that lives long may go through paths without number."""

    __slots__ = ("_limit", "_nodes")

    def __init__(self) -> None:
        self._limit = _MAX_NODES
        self._nodes: list[weakref.ref[PathNode]] = []

    def add(self, node: PathNode) -> None:
        """Count a node. When there are too many, all let go of what stands below that nobody else holds."""
        if len(self._nodes) >= self._limit:
            alive = [there for ref in self._nodes if (there := ref()) is not None]
            for there in alive:
                there.let_go()
            self._nodes = [weakref.ref(there) for there in alive]
            del alive, there
            self._nodes = [ref for ref in self._nodes if ref() is not None]
            # What spans hold cannot be let go, and must not be looked through each time.
            self._limit = max(_MAX_NODES, 2 * len(self._nodes))
        self._nodes.append(weakref.ref(node))


class PathNode:
    """A place in the tree of a session.

    Attributes:
        session: The session that holds here.
        chosen: Somebody chose that session; else the trace was given one.
        path: The segments, outermost first.
        call: The kind of the LLM call or embedding that encloses what stands here, without a step between.
        entry_route: The path of the route or task by which work came in.
        text: The path on the wire.
        headers: The headers of a request that is made here, in wire form.
        label: The attributes of a span that stands here; shared, so it must not be changed.
        template: Of spans right below this node, by what they show, what they are; the registry's memory.
    """

    __slots__ = (
        "__weakref__",
        "_below",
        "_families",
        "_key",
        "_nodes",
        "call",
        "chosen",
        "entry_route",
        "headers",
        "label",
        "path",
        "session",
        "templates",
        "text",
    )

    def __init__(
        self,
        families: frozenset[str],
        session: Session,
        chosen: bool,
        path: tuple[str, ...],
        key: NodeKey,
        above: PathNode | None = None,
        nodes: _Nodes | None = None,
    ) -> None:
        self._families = families
        self._key = key._replace(segments=())
        self._below: dict[NodeKey, PathNode] = {}
        self._nodes = nodes if nodes is not None else _Nodes()
        self._nodes.add(self)
        self.templates: Recent[tuple[object, ...], SpanTemplate] = Recent(_MAX_CHILDREN)
        self.entry_route: str = key.entry_route or (above.entry_route if above is not None else "")
        self.call: str | None = key.kind if key.kind in CALL_KINDS else None
        if self.call is None and above is not None and not path:
            self.call = above.call
        self.session = session
        self.chosen = chosen
        self.path = path
        self.text = "/" + "/".join(path) if path else self._text_without_step()
        self.label = self._make_label(key)
        self.headers = ((wire.SESSION_PATH_HEADER, self.text), *session.headers)

    def below(self, key: NodeKey) -> PathNode:
        """Return where a span stands that looks like this, below this node."""
        node = self._below.get(key)
        if node is None:
            if len(self._below) >= _MAX_CHILDREN:
                self._below.clear()
            node = self._below[key] = self._descend(key)
        return node

    def let_go(self) -> None:
        """Forget what stands below."""
        self._below.clear()
        self.templates.clear()

    def begin(self, session: Session, chosen: bool, path: tuple[str, ...] | None, key: NodeKey) -> PathNode:
        """Return where a span stands with which a session or a path begins anew.

        Args:
            session: The session from here on.
            chosen: Somebody chose it.
            path: The path it begins at; `None`: it goes on at this node's.
            key: What the span looks like.
        """
        path = self.path if path is None else path
        return PathNode(self._families, session, chosen, path, NodeKey(entry_route=self.entry_route)).below(key)

    def text_of_call(self, kind: str) -> str:
        """Return the path of a call of this kind that has no span of its own, made here.

        With no step at all it stands at the route or task name through which the work came in, else at
        `/chat` or `/embeddings`: a request at a bare `/` draws an unnamed folder.
        """
        return self.text if self.path else self.entry_route or "/" + CALL_KINDS[kind]

    def _descend(self, key: NodeKey) -> PathNode:
        path = self.path
        for segment in key.segments:
            # Adjacent equal segments are one step seen twice (`invoke_agent X` around `X.agent`).
            if not path or path[-1] != segment:
                path = (*path, segment)
        if len(path) > SURELY_SHORT:
            path = bounded(path)
        if path == self.path and key._replace(segments=()) == self._key:
            return self  # the same step seen again: a line of such has one node
        return PathNode(self._families, self.session, self.chosen, path, key, self, self._nodes)

    def _text_without_step(self) -> str:
        # What is below a call stands where the call does.
        return self.entry_route or "/" + CALL_KINDS[self.call] if self.call else "/"

    def _make_label(self, key: NodeKey) -> dict[str, str]:
        session = self.session
        label = {wire.SESSION_ID: session.wire_id, wire.SESSION_PATH: self.text}
        if session.wire_name:
            label[wire.SESSION_NAME] = session.wire_name
        if key.kind:
            label[wire.SPAN_KIND] = key.kind
        # The conventions forbid invented conversation ids, and other backends would group by them.
        if not session.provisional and "session" in self._families:
            label[wire.OTEL_SESSION_ID] = session.valid_id
        if not session.provisional and key.gen_ai and "gen_ai" in self._families:
            label[wire.OTEL_CONVERSATION_ID] = session.valid_id
        if not session.provisional and key.grouped_by and "sdk" in self._families:
            label[key.grouped_by] = session.valid_id
        if session.valid_user_id and "user" in self._families:
            label[wire.OTEL_USER_ID] = session.valid_user_id
        for name, value in session.properties.items():
            label[wire.PROPERTY_PREFIX + name] = value
        return label


NO_KEY: Final = NodeKey()


def top(families: Iterable[str], session: Session, chosen: bool, entry_route: str = "") -> PathNode:
    """Return the node at which a session begins, by whichever route or task the work came in."""
    return PathNode(frozenset(families), session, chosen, session.path.segments, NodeKey(entry_route=entry_route))
