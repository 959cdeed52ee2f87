"""MCP's conventions, as the Python SDK and FastMCP write them.

https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/. `mcp.session.id` is the id of a transport, not of a
conversation, so it stands in no list here.
"""

from .._spans import Dialect, Row

MCP = Dialect(
    name="mcp",
    scopes=("mcp-python-sdk", "fastmcp"),
    rows=(
        # The client's span is the request; the server's is the same call seen from inside.
        Row(
            kind="tool",
            attribute="mcp.method.name",
            values=frozenset({"tools/call"}),
            span_kinds=("SERVER",),
            named_by=("gen_ai.tool.name",),
            templates=("tools/call *",),
            request=False,
        ),
        Row(
            kind="tool",
            attribute="mcp.method.name",
            values=frozenset({"tools/call"}),
            named_by=("gen_ai.tool.name",),
            templates=("MCP send tools/call *", "tools/call *"),
        ),
        Row(kind=None, attribute="mcp.method.name"),
        Row(kind="tool", span_kinds=("SERVER",), names=("tools/call *",), templates=("tools/call *",), request=False),
        Row(kind="tool", names=("tools/call *",), templates=("tools/call *",)),
    ),
    # A propagator that writes into `_meta` tells every third-party server about the session.
    takes_headers=False,
)
