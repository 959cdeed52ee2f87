"""What is known of each span: the theory of operation.

**Three questions.** A span starts: whose is it? (`on_start`.) Headers leave: which session, which path? (`locate`.)
A span ended: what does it bear for good, and is it a row? (`on_end`.) The registry takes all of them and holds the
state of the process. Everything else in this package answers parts of these questions:

    registry ── engine ─┬─ on_start ─┐                    resolver   the rules: session and path of a record
                        │  (entries) │                    │ derived    sessions from attributes, settings, the trace
                        ├─ locate ───┼─ labels ─ resolver ┤ enclosing  claims of other SDKs, spans never current
                        └─ on_end ───┘                    │ left_alone spans that are not the app's
                               └─ requests, open_spans    └ nodes, records, state

**What is remembered of a span.** One of four things, the cheapest that is enough:

* nothing, for a root span in which no dialect recognises anything;
* its parent, for another such span: if a recognised span turns out to be below it, its record is made then;
* a leaf, for a span that is like one before it and has no children: a template, a context frame, a parent;
* a `SpanRecord`, for all others.

Records form lines from the inside out, together with those of open sessions and steps (`FrameRecord`) and of
sessions that other SDKs claim (`ClaimRecord`). Session, path, label and headers stand in a `PathNode`, which all
spans share that have the same ones: the second `web_search` below the same step costs one look-up.

**When it is decided.** A span is read when it starts. It is read again when somebody asks and it has changed: a child
starts, or headers leave. It is decided for good when it ends. An inner request nearly always ends before its wrapper,
so by then it is known which span of a call stands for it (`requests`). A stream may end later, and its row waits for
that. A span that shows itself late moves to another path node; what is below it follows when it is asked. A provisional
session id, the trace's, becomes final when it leaves the process; until then the first real id in the trace replaces
it. An id that a framework made up is as weak: it takes the place of the trace's, and of nothing else.

**Where work begins anew.** A span by which work comes in may have a parent that a caller has named, or that has ended
(`entries`). Such work is in no session of its trace or of its Context: its records have a trace id of their own.

**Who writes.** `LabelWriter` alone sets attributes on spans. The propagator, the hooks, the exporters and child spans
read. Nothing is written through private fields of the SDK.

**Why copies.** The SDK freezes attributes before any hook at a span's end. What was decided there goes on a copy that
exporters are handed (`otel/exporter.py`), made only of spans whose label changed or that become rows.

**Invariants.** Tests hold them; a change that breaks one is wrong:

1. Id and name never change inside a session, and neither header, label nor row of one request differ in its path.
2. A trace in which nothing is recognised, and that no code put into a session, is left as it was.
3. Ids flow from parents to children, never from a child to its siblings, and only parents carry a session.
4. One call has one request. Whatever encloses it may wrap it; an agent or workflow inside a tool does not.
5. Path nodes, templates and sessions are immutable and shared. Records belong to one span and may change.
6. Every memory is bounded. A full one forgets its oldest entry, and explicit sessions stay right without it.
7. `on_start`, `on_end`, `inject` and the hooks never raise, and wait for nobody. A lock is taken to build the engine,
   once, and for a moment to wake the log's thread when it sleeps. A forked child has its own.
8. A span like one before it costs one look-up: 4 calls in 3 files when it starts, 2 in 2 when it ends.
"""
