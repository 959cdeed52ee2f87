"""Path nodes: session, path, label and headers in one immutable object, shared by all spans that have the same.

Nodes form a tree. The second `web_search` below the same step of the same session costs one look-up. A node never
changes: a span that shows itself late moves to another one, and what is below it follows when it is asked.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from .. import wire
from ..caches import Recent
from ..sessions.model import Session, path_segments
from ..spans.reader import ScopeRules
from ..spans.schema import Classification
from ..wire import CALL_KINDS, LOOKUP_KINDS, SURELY_SHORT, bounded

_MAX_TEMPLATES: Final = 256
# Of one session. No app has that many paths, unless it puts ids or counters into names.
_MAX_NODES: Final = 1024
# The numbers of nodes: an id might be that of an older node, which is gone.
_serials: Final = itertools.count()


class NodeKey(NamedTuple):
    """What distinguishes spans below the same path node."""

    kind: str | None = None
    segments: tuple[str, ...] = ()
    gen_ai: bool = False
    """OpenTelemetry's GenAI conventions describe the span, so it may name a conversation."""
    entry_route: str = ""
    """The path of the route or task by which work came in here."""
    grouped_by: str = ""
    """The attribute by which the backend of the span's own SDK groups spans into sessions."""

    def is_like(self, other: NodeKey) -> bool:
        """Tell whether two spans at the same path are at the same node."""
        return self == other._replace(segments=self.segments)


class SpanTemplate(NamedTuple):
    """What spans have in common that bear the same and are below the same path node.

    Attributes:
        classification: What they are.
        node: Their path node.
        base: The path node of what encloses them.
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


_NO_TEMPLATES: Final[Recent[tuple[object, ...], SpanTemplate]] = Recent(0)


class _Tree(Recent["tuple[int, NodeKey]", "PathNode"]):
    """The nodes of one session, by what they are below: a session that lives long may use any number of paths.

    When there are too many, each new one takes the place of the oldest, so that no span pays for all of them. Nodes
    that spans hold are still there for these spans.

    Only the first node of a session holds its tree, so that all of it is freed with that node, without the garbage
    collector.
    """

    __slots__ = ("__weakref__",)

    def __init__(self) -> None:
        super().__init__(_MAX_NODES)


class PathNode:
    """A node in the tree of a session.

    Attributes:
        session: The session that holds here.
        chosen: Somebody chose that session; otherwise it is the trace's own.
        path: The segments, outermost first.
        call: The kind of the LLM call or embedding that encloses this, without a step between.
        entry_route: The path of the route or task by which work came in.
        text: The path in wire form.
        label: The attributes that label a span here; shared, so it must not be changed.
        templates: The templates of spans right below this node, by what they bear.
    """

    __slots__ = (
        "_families",
        "_headers",
        "_key",
        "_own_tree",
        "_serial",
        "_tree",
        "call",
        "chosen",
        "entry_route",
        "label",
        "path",
        "session",
        "templates",
        "text",
    )

    _own_tree: _Tree | None
    # Made when a request leaves here first: at most nodes none does.
    _headers: tuple[tuple[str, str], ...] | None

    def __init__(
        self,
        families: frozenset[str],
        session: Session,
        chosen: bool,
        path: tuple[str, ...],
        key: NodeKey,
        above: PathNode | None = None,
        tree: _Tree | None = None,
    ) -> None:
        self._families = families
        self._key = key
        if tree is None:
            self._plant()
        else:
            self._own_tree, self._tree = None, weakref.ref(tree)
        self._serial = next(_serials)
        self.templates = _NO_TEMPLATES  # most nodes are of calls, with nothing below
        self.entry_route: str = key.entry_route or (above.entry_route if above is not None else "")
        self.call: str | None = key.kind if key.kind in CALL_KINDS else None
        if self.call is None and above is not None and not path:
            self.call = above.call
        self.session = session
        self.chosen = chosen
        self.path = path
        # What is below a call has the path of the call.
        self.text = self._text_without_step(self.call) if self.call and not path else "/" + "/".join(path)
        self.label = self._make_label(key)
        self._headers = None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of a request that is made here, in wire form."""
        if self._headers is None:
            self._headers = ((wire.SESSION_PATH_HEADER, self.text), *self.session.headers)
        return self._headers

    def below(self, key: NodeKey) -> PathNode:
        """Return the node of a span below this node."""
        tree = self._tree()
        if tree is None:  # the first node is gone, and this one lives on in a span
            tree = self._plant()
        node = tree.get((self._serial, key))
        if node is None:
            node = self._descend(key, tree)
            tree.put((self._serial, key), node)
        return node

    def _plant(self) -> _Tree:
        """Begin a tree that this node holds."""
        tree = _Tree()
        self._own_tree, self._tree = tree, weakref.ref(tree)
        return tree

    def add_template(self, key: tuple[object, ...], template: SpanTemplate) -> None:
        """Remember a template of spans right below this node."""
        if self.templates is _NO_TEMPLATES:
            self.templates = Recent(_MAX_TEMPLATES)
        self.templates.put(key, template)

    def begin(self, session: Session, chosen: bool, path: tuple[str, ...] | None, key: NodeKey) -> PathNode:
        """Return the node of a span with which a session or a path begins anew.

        Args:
            session: The session from here on.
            chosen: Somebody chose it.
            path: The path at which it begins; `None`: that of this node.
            key: What distinguishes the span.
        """
        path = self.path if path is None else path
        call = self.call if path == self.path else None  # what is below a call has the path of the call
        return PathNode(self._families, session, chosen, path, NodeKey(call, entry_route=self.entry_route)).below(key)

    def text_of_call(self, kind: str) -> str:
        """Return the path of a call that is made here and has no span of its own.

        Without any step it is the route or task by which work came in, otherwise `/chat` or `/embeddings`: a
        request at a bare `/` draws an unnamed folder.

        Args:
            kind: `llm` or `embedding`.
        """
        return self.text if self.path else self._text_without_step(kind)

    def _descend(self, key: NodeKey, tree: _Tree) -> PathNode:
        path = self.path
        if not path and self.entry_route and key.kind in LOOKUP_KINDS:
            path = path_segments(self.entry_route)
        for segment in key.segments:
            # Adjacent equal segments are one step seen twice (`invoke_agent X` around `X.agent`).
            if not path or path[-1] != segment:
                path = (*path, segment)
        if len(path) > SURELY_SHORT:
            path = bounded(path)
        if path == self.path and key.is_like(self._key):
            return self  # the same step once more: a line of them has one node
        return PathNode(self._families, self.session, self.chosen, path, key, self, tree)

    def _text_without_step(self, kind: str) -> str:
        return self.entry_route or "/" + CALL_KINDS[kind]

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


def top(families: Iterable[str], session: Session, chosen: bool, entry_route: str = "") -> PathNode:
    """Return the first node of a session.

    Args:
        families: Which families of attributes labels have.
        session: The session.
        chosen: Somebody chose it.
        entry_route: The path of the route or task by which work came in.
    """
    return PathNode(frozenset(families), session, chosen, session.path.segments, NodeKey(entry_route=entry_route))
