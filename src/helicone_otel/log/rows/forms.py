"""How facts are written on spans, and what reads each form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...spans.retrieval import Matches, found_in
from .jsonread import number, read, text_of, tidy
from .messages import parts_of

# What only an instrumentation's wrapping is: where all of these are, what is meant stands at the path.
_WRAPPINGS: Final = (
    (frozenset({"input_str", "inputs"}), ("inputs",)),  # OpenLLMetry's of LangChain
    (frozenset({"output", "kwargs"}), ("output",)),
    (frozenset({"lc", "kwargs"}), ("kwargs", "content")),  # LangChain's own
    (frozenset({"type", "data"}), ("data", "content")),
    (frozenset({"raw_output", "tool_name"}), ("raw_output",)),  # LlamaIndex
)
_QUERIES: Final = ("query", "query_bundle", "query_str", "question", "input", "text", "inputs", "args")
_FOUND: Final = ("documents", "matches", "results", "ranking", "points", "hits")
_BARE: Final = frozenset({str, bool})
_MAX_VECTOR: Final = 16_384
_ID: Final = re.compile(r'\s*\{\s*"id"\s*:\s*"([^"\\]{1,256})"')


def json_value(value: object) -> Any:
    """Return what a tool was given or gave, without what instrumentations wrap around it."""
    value = read(_unquoted(value))
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


def _unquoted(value: object) -> object:
    """Return the text in a JSON string: what OpenLLMetry's decorators make of a function's result."""
    if not isinstance(value, str) or not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def plain(value: object) -> Any:
    """Return a scalar, or a list of them."""
    return value if type(value) in _BARE else tidy(value)


def query(value: object) -> str:
    """Return the text that is looked for."""
    value = json_value(value)
    for _ in range(3):  # a query in a bundle in an input
        if isinstance(value, dict):
            value = next((value[key] for key in _QUERIES if value.get(key)), value)
        if isinstance(value, list) and value:  # a function's arguments
            value = value[0]
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
    return found_in(_match(read(item)) for item in found) if isinstance(found, list) and found else None


def _match(item: Any) -> Any:
    """Return a match; LlamaIndex keeps what was found in a node."""
    node = item.get("node") if isinstance(item, dict) else None
    if not isinstance(node, dict):
        return item
    return {"id": node.get("id_"), "content": node.get("text"), "metadata": node.get("metadata"), **item}


def id_in(value: object) -> str | None:
    """Return the id that an answer's body begins with; the rest of it need not be read for that."""
    found = _ID.match(value) if isinstance(value, str) else None
    return found[1] if found else None


def model_in(value: object) -> str | None:
    """Return the model among parameters."""
    found = read(value)
    model = found.get("model") if isinstance(found, dict) else None
    return model if isinstance(model, str) else None


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
    "id in": id_in,
    "model in": model_in,
}


# Their zeros are something that is known.
NUMBERS: Final = frozenset({int, float, bool})


def known(told: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    """Return what is known of an object; some of it stands there even if it is empty."""
    return {name: value for name, value in told.items() if value or type(value) in NUMBERS or name in kept}


def data_url(value: Any) -> str:
    """Return where an image is, or what it is, as an address; empty if it is none."""
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("uri"), str) and value.get("modality") == "image":
        return str(value["uri"])
    if isinstance(inner := value.get("image"), dict) and isinstance(inner.get("url"), str):  # OpenInference's
        return str(inner["url"])
    held, mime_type = value.get("content"), value.get("mime_type")
    if value.get("type") == "blob" and isinstance(held, str) and str(mime_type).startswith("image/"):
        return f"data:{mime_type};base64,{held}"
    return ""
