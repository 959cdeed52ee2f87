"""An MCP server with one tool, whose answer begins with the number of its calls."""

from itertools import count

from mcp.server.mcpserver import MCPServer

server = MCPServer("timetable")
calls = count(1)


@server.tool()
def trains(city: str) -> str:
    """List trains."""
    return f"{next(calls)}: at nine to {city}"


if __name__ == "__main__":
    server.run()
