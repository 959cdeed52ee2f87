"""Reads the forms in which attributes hold facts, and writes two forms that several bodies share.

`FORMS` is the table of the readers. A reader returns `None`, or something empty, for a value that it cannot read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...spans.retrieval import Matches, found_in
from .jsonread import number, read, read_python, text_of, tidy
from .messages import parts_of

# Objects that instrumentations wrap around a value: the keys of the object, and the path to the value.
_WRAPPINGS: Final = (
    (frozenset({"input_str", "inputs"}), ("inputs",)),  # OpenLLMetry for LangChain
    (frozenset({"output", "kwargs"}), ("output",)),
    (frozenset({"lc", "kwargs"}), ("kwargs", "content")),  # LangChain itself
    (frozenset({"type", "data"}), ("data", "content")),
    (frozenset({"raw_output", "tool_name"}), ("raw_output",)),  # LlamaIndex
)
_QUERIES: Final = ("query", "query_bundle", "query_str", "question", "input", "text", "inputs", "args")
_MATCHES: Final = ("documents", "matches", "results", "ranking", "points", "hits")
_SCHEMAS: Final = ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
# Types whose values need no reading.
_UNCHANGED: Final = frozenset({str, bool})
_MAX_VECTOR: Final = 16_384
_ID: Final = re.compile(r'\s*\{\s*"id"\s*:\s*"([^"\\]{1,256})"')


def json_value(value: object) -> Any:
    """Return the input or output of a tool, without the objects that instrumentations wrap around it."""
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
    """Return the text in a JSON string, which OpenLLMetry's decorators make of the result of a function."""
    if not isinstance(value, str) or not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def plain(value: object) -> Any:
    """Return a scalar, or a list of them."""
    return value if type(value) in _UNCHANGED else tidy(value)


def query(value: object) -> str:
    """Return the text of a query."""
    value = json_value(value)
    for _ in range(3):  # a query in a bundle in an input
        if isinstance(value, dict):
            value = next((value[key] for key in _QUERIES if value.get(key)), value)
        if isinstance(value, list) and value:  # a function's arguments
            value = value[0]
    return text_of(value) if value else ""


def condition(value: object) -> dict[str, Any] | None:
    """Return a filter as Helicone shows it: an object."""
    found = read_python(value)
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


def texts(value: object) -> list[str]:
    """Return the texts of OpenInference's numbered embeddings."""
    found = read(value)
    items = found if isinstance(found, list) else []
    return [item["text"] for item in items if isinstance(item, dict) and isinstance(item.get("text"), str)]


def vectors(value: object) -> list[list[Any]] | None:
    """Return embeddings: OpenInference's numbered ones, those of an answer, or a list of vectors."""
    found = read(value)
    if isinstance(found, dict):
        found = found.get("data")
    if not isinstance(found, list):
        return None
    if one := vector(found):
        return [one]
    embeddings = [_embedding(item) for item in found]
    return None if None in embeddings else [one for one in embeddings if one]


def _embedding(item: object) -> list[Any] | None:
    if isinstance(item, Mapping):
        item = item.get("embedding", item.get("vector"))
    return vector(item)


def tools(value: object) -> list[dict[str, Any]] | None:
    """Return the tools that a model could call: name, description and schema of each."""
    found = read(value)
    if isinstance(found, dict):
        found = found.get("tools") or found.get("function_tools")
    if not isinstance(found, list):
        return None
    return [tool for item in found if (tool := _tool(read(item)))]


def _tool(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    schema = read(item.get("json_schema"))  # OpenInference has here the whole tool, or the schema of its parameters
    if isinstance(schema, dict):
        item = {**item, "parameters": schema} if "function" not in schema and "name" not in schema else schema
    inside = item["function"] if isinstance(item.get("function"), dict) else item
    schema = next((read(inside[key]) for key in _SCHEMAS if inside.get(key)), None)
    if not isinstance(inside.get("name"), str):
        return None
    members = {"name": inside["name"], "description": inside.get("description"), "parameters": schema}
    return {key: tidy(value) for key, value in members.items() if value is not None}


def matches(value: object) -> Matches | None:
    """Return the matches of a vector query, from a list or an object with one."""
    found = read(value)
    if isinstance(found, dict):
        found = next((found[key] for key in _MATCHES if isinstance(found.get(key), list)), None)
    return found_in(_match(read(item)) for item in found) if isinstance(found, list) and found else None


def _match(item: Any) -> Any:
    """Return a match. LlamaIndex has its text and metadata in a node."""
    node = item.get("node") if isinstance(item, dict) else None
    if not isinstance(node, dict):
        return item
    return {"id": node.get("id_"), "content": node.get("text"), "metadata": node.get("metadata"), **item}


def id_in(value: object) -> str | None:
    """Return the id at the beginning of the body of an answer, without reading the rest."""
    found = _ID.match(value) if isinstance(value, str) else None
    return found[1] if found else None


def model_in(value: object) -> str | None:
    """Return the model in an object with parameters."""
    found = read(value)
    model = found.get("model") if isinstance(found, dict) else None
    return model if isinstance(model, str) else None


# By the name of a form in `sources`: the function that reads it.
FORMS: Final[dict[str, Callable[[object], Any]]] = {
    "plain": plain,
    "json": json_value,
    "messages": read,  # `SpanFacts` makes messages of it, because it knows their role
    "python": read_python,
    "parts": parts_of,
    "tools": tools,
    "texts": texts,
    "vectors": vectors,
    "vector": vector,
    "query": query,
    "filter": condition,
    "matches": matches,
    "id in": id_in,
    "model in": model_in,
}


def image_url(value: Any) -> str:
    """Return the URL of an image in any family's form, or a `data:` URL with the image; empty if a part is no image."""
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("uri"), str) and value.get("modality") == "image":
        return str(value["uri"])
    for inner in (value.get("image"), value.get("image_url")):  # OpenInference's, and OpenAI's two
        url = inner.get("url") if isinstance(inner, dict) else inner
        if isinstance(url, str) and _is_url(url):
            return url
    return _inline_image(value)


def inline_data(url: str) -> tuple[str, str] | None:
    """Return the media type and the content, in base64, of a `data:` URL; `None` if it is another URL."""
    head, comma, content = url.partition(";base64,")
    return (head.removeprefix("data:"), content) if comma and head.startswith("data:") else None


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://", "data:image/"))


def _inline_image(value: dict[str, Any]) -> str:
    """Return the URL of an image that a part holds: in OpenTelemetry's form, Anthropic's or Gemini's."""
    source, inline = value.get("source"), value.get("inlineData")
    if isinstance(source, dict) and isinstance(source.get("url"), str) and value.get("type") == "image":
        return str(source["url"])
    for inside, mime_type, content in (
        (value if value.get("type") == "blob" else None, "mime_type", "content"),
        (source, "media_type", "data"),
        (inline, "mimeType", "data"),
    ):
        if isinstance(inside, dict) and str(inside.get(mime_type)).startswith("image/"):
            found = inside.get(content)
            return f"data:{inside[mime_type]};base64,{found}" if isinstance(found, str) and found else ""
    return ""
