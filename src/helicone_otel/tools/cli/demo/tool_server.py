"""The tools of the trip planner, served over MCP on standard input and output."""

import os
from urllib.parse import urlencode
from urllib.request import urlopen

from mcp.server.mcpserver import MCPServer

server = MCPServer("timetable")


@server.tool()
def search_trains(origin: str, destination: str) -> str:
    """Find the next train between two cities."""
    query = urlencode({"origin": origin, "destination": destination})
    with urlopen(f"{os.environ['TOWN_URL']}/departures?{query}") as answer:  # noqa: S310  # always HTTP
        return str(answer.read(), "utf-8")


if __name__ == "__main__":
    server.run()
