"""How facts are written on spans, and what reads each form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .._matches import Matches, found_in
from ._json import number, read, text_of, tidy
from ._messages import parts_of

# What only an instrumentation's wrapping is: where all of these are, what is meant stands at the path.
_WRAPPINGS: Final = (
    (frozenset({"input_str", "inputs"}), ("inputs",)),  # OpenLLMetry's of LangChain
    (frozenset({"output", "kwargs"}), ("output",)),
    (frozenset({"lc", "kwargs"}), ("kwargs", "content")),  # LangChain's own
    (frozenset({"type", "data"}), ("data", "content")),
    (frozenset({"raw_output", "tool_name"}), ("raw_output",)),  # LlamaIndex
)
_QUERIES: Final = ("query", "query_bundle", "query_str", "question", "input", "text", "inputs")
_FOUND: Final = ("documents", "matches", "results", "ranking", "points", "hits")
_MAX_VECTOR: Final = 16_384


def json_value(value: object) -> Any:
    """Return what a tool was given or gave, without what instrumentations wrap around it."""
    value = read(value)
    for _ in _WRAPPINGS:
        if not isinstance(value, dict):
            break
        path = next((path for keys, path in _WRAPPINGS if keys <= value.keys()), ())
        inner: Any = value
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if not path or inner is None:
            break
        value = read(inner)
    return tidy(value)


def plain(value: object) -> Any:
    """Return a scalar, or a list of them."""
    return tidy(value)


def query(value: object) -> str:
    """Return the text that is looked for."""
    value = json_value(value)
    for _ in range(3):  # a query in a bundle in an input
        if isinstance(value, dict):
            value = next((value[key] for key in _QUERIES if value.get(key)), value)
    return text_of(value) if value else ""


def condition(value: object) -> dict[str, Any] | None:
    """Return a filter as Helicone shows it: an object."""
    found = read(value)
    if isinstance(found, str) and found.lstrip().startswith("{"):
        found = read(found.replace("'", '"'))  # how Python shows a dict
    if not found:
        return None
    return tidy(found) if isinstance(found, dict) else {"expression": text_of(found)}


def vector(value: object) -> list[Any] | None:
    """Return a vector: a list of numbers."""
    found = read(value)
    if not isinstance(found, list) or not found or len(found) > _MAX_VECTOR:
        return None
    numbers = [number(item) for item in found]
    return None if None in numbers else numbers


def vectors(value: object) -> list[list[Any]] | None:
    """Return embeddings: of OpenInference's numbered ones, an answer's, or bare ones."""
    found = read(value)
    if isinstance(found, dict):
        found = found.get("data")
    if not isinstance(found, list):
        return None
    if vector(found):
        return [found]
    read_ones = [_embedding(item) for item in found]
    return None if None in read_ones else [one for one in read_ones if one]


def _embedding(item: object) -> list[Any] | None:
    if isinstance(item, Mapping):
        item = item.get("embedding", item.get("vector"))
    return vector(item)


def tools(value: object) -> list[dict[str, Any]] | None:
    """Return the definitions of tools: each with a name, a description and a schema."""
    found = read(value)
    if isinstance(found, dict):
        found = found.get("tools") or found.get("function_tools")
    if not isinstance(found, list):
        return None
    return [tool for item in found if (tool := _tool(read(item)))]


def _tool(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    schema = read(item.get("json_schema"))  # OpenInference's: of the whole tool, or of its parameters
    if isinstance(schema, dict):
        item = {**item, "parameters": schema} if "function" not in schema and "name" not in schema else schema
    inside = item["function"] if isinstance(item.get("function"), dict) else item
    keys = ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
    given = next((read(inside[key]) for key in keys if inside.get(key)), None)
    if not isinstance(inside.get("name"), str):
        return None
    told = {"name": inside["name"], "description": inside.get("description"), "parameters": given}
    return {key: tidy(value) for key, value in told.items() if value is not None}


def matches(value: object) -> Matches | None:
    """Return what was found, from a list of it or an object around one."""
    found = read(value)
    if isinstance(found, dict):
        found = next((found[key] for key in _FOUND if isinstance(found.get(key), list)), None)
    return found_in(read(item) for item in found) if isinstance(found, list) and found else None


FORMS: Final[dict[str, Callable[[object], Any]]] = {
    "plain": plain,
    "json": json_value,
    "messages": read,  # whose they are is known where they are asked for
    "parts": parts_of,
    "tools": tools,
    "vectors": vectors,
    "vector": vector,
    "query": query,
    "filter": condition,
    "matches": matches,
}
