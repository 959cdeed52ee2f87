"""Helicone's mappers: what each finds in the bodies of a row, and what it misses.

A mapper reads one provider's bodies. It shows nothing of the others', and where it meets what it does not expect, it
fails as JavaScript does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .headers import as_text
from .usage import is_number

# What JavaScript would throw.
BROKEN: Final = (TypeError, AttributeError, KeyError, ValueError, IndexError)
_READ: Final = frozenset({200, 201, -3})
_EMBEDDING_NUMBERS: Final = 5


class ShownMessage(NamedTuple):
    """A message as a page shows it.

    Attributes:
        role: Who wrote it.
        text: Its content, and its calls of tools as `name({"argument": 1})`.
        has_calls: Whether it has calls of tools.
        left_out: Its calls, if it has no content: the page leaves such messages out.
        is_loading: Whether the page shows bars that never end in the place of a part whose content it does not know.
    """

    role: str
    text: str
    has_calls: bool = False
    left_out: str = ""
    is_loading: bool = False


def _with_calls(role: str, content: str, calls: str) -> ShownMessage:
    """Return a message that calls tools."""
    return ShownMessage(role, content + calls, True) if content else ShownMessage(role, "", True, calls)


class Shown(NamedTuple):
    """What a person sees of a row.

    Attributes:
        mapper: Helicone's name of the mapper that read it.
        request: The text in the list of requests.
        response: The same of the response.
        sent: The messages of the request.
        answered: The messages of the response.
        details: The call of a tool, the vector query, or the data.
        result: What came out of these.
        error: What is shown in place of an answer: of a failed request the body of the response.
    """

    mapper: str = ""
    request: str = ""
    response: str = ""
    sent: tuple[ShownMessage, ...] = ()
    answered: tuple[ShownMessage, ...] = ()
    details: Mapping[str, Any] = {}
    result: Mapping[str, Any] = {}
    error: str = ""


class Page(NamedTuple):
    """What a mapper is given."""

    request: Mapping[str, Any]
    response: Mapping[str, Any]
    status: int
    model: str


# --- OpenAI's chats -------------------------------------------------------------------------------


def openai_chat(page: Page) -> Shown:
    """Read a chat completion."""
    request, response = page.request, page.response
    sent = tuple(map(_chat_message, _list(request.get("messages"))))
    if "error" in response:
        error = response["error"]
        message = error.get("heliconeMessage") if isinstance(error, Mapping) else None
        return Shown("", _chat_request(request), message or "", sent, error=message or js_json(error))
    messages = [choice.get("message") for choice in _list(response.get("choices"))]
    answered = tuple(_chat_message(message) for message in messages if message)
    return Shown("", _chat_request(request), _chat_response(page), sent, answered)


def _chat_message(message: Any) -> ShownMessage:
    content, role = message.get("content"), message.get("role") or "user"
    if message.get("function_call") or message.get("tool_calls"):
        calls = message.get("tool_calls") or [{"function": message["function_call"]}]
        # The reasoning beside calls is not read.
        return _with_calls(role, _text(content), "".join(map(_chat_call, calls)))
    if role in ("tool", "function"):
        return ShownMessage(role, _text(content))
    if isinstance(content, list):
        return ShownMessage(role, "".join(map(_chat_item, content)))
    return ShownMessage(role, _text(message.get("reasoning")) + _text(content).lstrip())


def _chat_call(call: Any) -> str:
    function = call.get("function") or {}
    return f"{function.get('name') or ''}({js_json(_arguments(function.get('arguments')))})"


def _arguments(text: Any) -> Any:
    """Return arguments. Those that are not JSON in a text are lost."""
    try:
        return json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}


def _chat_item(item: Any) -> str:
    if item.get("type") == "text":
        return _text(item.get("text"))
    return _image(item["image_url"].get("url")) if item.get("type") == "image_url" else js_json(item)


def _chat_request(request: Mapping[str, Any]) -> str:
    messages = _list(request.get("messages"))
    if not messages:
        return ""
    last = messages[-1]
    if calls := last.get("tool_calls"):
        return "\n".join(map(_chat_call, calls))
    content = last.get("content")
    if isinstance(content, list):
        return _chat_items(content)
    return js_json("") if content is None else _text(content)


def _chat_items(content: list[Any]) -> str:
    """Return the first text in a list, or what stands for one."""
    texts = [item["text"] for item in content if item.get("type") == "text"]
    if texts:
        return _text(texts[0])
    has_image = any(item.get("type") == "image_url" and (item.get("image_url") or {}).get("url") for item in content)
    return "[Image]" if has_image else js_json(content)


def _chat_response(page: Page) -> str:
    if page.status not in _READ:
        return ""
    choices = _list(page.response.get("choices"))
    message = (choices[0].get("message") if choices else None) or {}
    if message.get("content") is None and message.get("tool_calls"):
        return "\n".join(map(_chat_call, message["tool_calls"]))
    # A list is written as JavaScript writes objects.
    return as_text(message.get("content") or "")


def openai_instruct(page: Page) -> Shown:
    """Read a completion of the time before chats."""
    prompt, response = _text(page.request.get("prompt")), page.response
    sent = (ShownMessage("user", prompt),)
    if "error" in response:
        error = response["error"]
        return Shown("", prompt, _text(error.get("heliconeMessage")), sent, error=js_json(error))
    texts = [_text(choice.get("text")) for choice in _list(response.get("choices"))]
    return Shown("", prompt, texts[0] if texts else "", sent, tuple(ShownMessage("assistant", text) for text in texts))


def openai_embedding(page: Page) -> Shown:
    """Read a request for embeddings."""
    asked = page.request.get("prompt") or page.request.get("input") or ""
    text = "\n".join(map(_text, asked)) if isinstance(asked, list) else _text(asked)
    vectors = [item.get("embedding") for item in _list(page.response.get("data"))]
    answered = tuple(ShownMessage("assistant", _embedding(index, vector)) for index, vector in enumerate(vectors))
    answer = answered[0].text.partition(": ")[2] if answered else ""
    preview = answer if page.status in _READ else _message(page.response)
    return Shown("", text, preview, (ShownMessage("user", text),), answered)


def _embedding(index: int, vector: Any) -> str:
    if isinstance(vector, list):
        return f"Embedding {index}: [{', '.join(f'{number:.6f}' for number in vector[:_EMBEDDING_NUMBERS])}...]"
    return f"Embedding {index}: [{'base64 encoded' if isinstance(vector, str) else 'format unknown'}]"


# --- OpenAI's Responses ---------------------------------------------------------------------------


def openai_response(page: Page) -> Shown:
    """Read a call to the Responses API."""
    request, response = page.request, page.response
    asked = request.get("input")
    instructions = _text(request.get("instructions"))
    sent = [ShownMessage("system", instructions)] if instructions else []
    sent += [ShownMessage("user", asked)] if isinstance(asked, str) else map(_item, _list(asked))
    answered = tuple(_output(item) for item in _list(response.get("output")))
    texts = (
        [asked] if isinstance(asked, str) else [text for item in reversed(_list(asked)) if (text := _item_text(item))]
    )
    preview = next((text for text in (*texts, instructions) if text.strip()), "")
    return Shown("", preview, _response_text(response), tuple(sent), answered)


def _item_text(item: Any) -> str:
    """Return the first text of an item, which the list shows."""
    content = item.get("output") if item.get("type") == "function_call_output" else item.get("content")
    texts = map(_part, content) if isinstance(content, list) else [_text(content)]
    return next((text for text in texts if text.strip() and not text.startswith("[image ")), "")


def _item(item: Any) -> ShownMessage:
    match item.get("type"):
        case "function_call":
            return _with_calls("assistant", "", _item_call(item))
        case "function_call_output":
            return ShownMessage("tool", _text(item.get("output")))
        case "reasoning":
            return ShownMessage("assistant", _summary(item))
    content = item.get("content")
    if not isinstance(content, list):
        return ShownMessage(item.get("role") or "", _text(content))
    parts = list(map(_part, content))
    return ShownMessage(item.get("role") or "", "".join(parts), is_loading="" in parts)


def _part(part: Any) -> str:
    kind = part.get("type")
    if kind in ("input_text", "output_text"):
        return _text(part.get("text"))
    return _image(part.get("image_url")) if kind == "input_image" else ""


def _output(item: Any) -> ShownMessage:
    match item.get("type"):
        case "function_call":
            return _with_calls("assistant", "", _item_call(item))
        case "reasoning":
            return ShownMessage("assistant", _summary(item))
    # Of several texts only the first is read.
    texts = [_text(part.get("text")) for part in _list(item.get("content")) if part.get("type") == "output_text"]
    return ShownMessage(item.get("role") or "assistant", texts[0] if texts else "")


def _item_call(item: Any) -> str:
    return f"{item.get('name')}({js_json(_arguments(item.get('arguments')))})"


def _summary(item: Any) -> str:
    return " ".join(_text(part.get("text")) for part in _list(item.get("summary")))


def _response_text(response: Mapping[str, Any]) -> str:
    if response.get("error"):
        return _message(response) or js_json(response["error"])
    output = [item for item in _list(response.get("output")) if item.get("type") == "message"]
    text = _output(output[0]).text if output else ""
    return text or (js_json(response) if response else "")


# --- Anthropic's messages -------------------------------------------------------------------------


def anthropic_chat(page: Page) -> Shown:
    """Read a call to the Messages API. Answers in OpenAI's form are read too, but not their calls of tools."""
    request, response = page.request, page.response
    system = request.get("system")
    if isinstance(system, list):
        system = " ".join(item.get("text") or js_json(item) for item in system)
    sent = [ShownMessage("system", _text(system))] if system else []
    sent += [_anthropic_message(message) for message in _list(request.get("messages"))]
    preview = _anthropic_request(request)
    if "error" in response:
        error = response["error"]
        return Shown("", preview, _message(response), tuple(sent), error=_text(error.get("heliconeMessage", error)))
    return Shown("", preview, _anthropic_response(page), tuple(sent), tuple(_anthropic_answers(response)))


def _anthropic_message(message: Any) -> ShownMessage:
    content = message.get("content")
    if not isinstance(content, list):
        return ShownMessage(message["role"], content if isinstance(content, str) else js_json(content))
    has_calls = any(item.get("type") == "tool_use" for item in content)
    parts = list(map(_anthropic_item, content))
    return ShownMessage(message["role"], "".join(parts), has_calls, is_loading="" in parts)


def _anthropic_item(item: Any) -> str:
    match item.get("type"):
        case "text":
            return _text(item.get("text"))
        case "image" | "image_url":
            return _image((item.get("image_url") or {}).get("url") or _data_url(item.get("source") or {}))
        case "tool_use":
            return f"{item.get('name')}({js_json(item.get('input'))})"
    content = item.get("content", "")
    return content if isinstance(content, str) else js_json(content)


def _data_url(source: Mapping[str, Any]) -> str:
    return f"data:{source.get('media_type') or 'image/png'};base64,{source['data']}" if source.get("data") else ""


def _anthropic_request(request: Mapping[str, Any]) -> str:
    messages = _list(request.get("messages"))
    content = messages[-1].get("content") or "" if messages else ""
    if isinstance(content, list):
        return " ".join(item.get("text") or js_json(item) for item in content)
    return content if isinstance(content, str) else js_json(content)


def _anthropic_response(page: Page) -> str:
    if page.status not in _READ:
        return ""
    content = _list(page.response.get("content"))
    texts = [item for item in content if item.get("type") == "text"]
    if texts:
        return _without_undefined(_text(texts[0].get("text")))
    choices = _list(page.response.get("choices"))
    if choices and isinstance(text := (choices[0].get("message") or {}).get("content"), str):
        return text
    calls = [item for item in content if item.get("type") == "tool_use"]
    return f"{calls[0].get('name')}({js_json(calls[0].get('input'))})" if calls else ""


def _anthropic_answers(response: Mapping[str, Any]) -> Iterator[ShownMessage]:
    if response.get("type") == "message" and response.get("content"):
        for item in _list(response["content"]):
            yield _anthropic_answer(item, response.get("role") or "")
    elif isinstance(response.get("choices"), list):
        for choice in response["choices"]:
            message = choice.get("message") or {}
            content = message.get("content")
            items = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
            for item in items:
                yield _anthropic_answer(item, message.get("role") or "")


def _anthropic_answer(item: Any, role: str) -> ShownMessage:
    match item.get("type"):
        case "text":
            return ShownMessage(role, _without_undefined(_text(item.get("text")) or js_json(item, 2)))
        case "tool_use":
            return _with_calls("assistant", "", f"{item.get('name')}({js_json(item.get('input'))})")
    return ShownMessage(role, _without_undefined(js_json(item, 2)))


def _without_undefined(text: str) -> str:
    """Return a text without a word that Helicone takes for a fault of its own, also where a model wrote it."""
    return text.replace("undefined", "").strip()


# --- Gemini's contents ----------------------------------------------------------------------------


def gemini_chat(page: Page) -> Shown:
    """Read a call to generateContent. Of a request only texts and images are read; of an answer, one call of a tool."""
    request, response = page.request, page.response
    contents = [content for content in _as_list(request.get("contents")) if content]
    system = _as_list((request.get("systemInstruction") or {}).get("parts"))
    sent = [ShownMessage("system", system[0]["text"])] if system and system[0].get("text") else []
    sent += [_gemini_message(content) for content in contents if _texts_in(content) or _images_in(content)]
    preview = "\n".join(_texts_in(contents[-1])) if contents else ""
    error = js_json(_known(response["error"], ("message", "code")), 2) if response.get("error") else ""
    answers = [one.get("content") or {} for one in _list(response.get("candidates"))]
    parts = [part for content in answers for part in _as_list(content.get("parts"))]
    answer = _gemini_answer(parts, (answers[0].get("role") if answers else "") or "model")
    # The list shows nothing of an error: this mapper looks for it in the wrong place.
    shown = "".join(map(_gemini_preview, parts)) if page.status in _READ else ""
    return Shown("", preview, shown, tuple(sent), (answer,) if answer.text or answer.has_calls else (), error=error)


def _gemini_message(content: Any) -> ShownMessage:
    return ShownMessage(content.get("role") or "user", "".join([*_texts_in(content), *_images_in(content)]))


def _images_in(content: Any) -> list[str]:
    return [_inline(part) for part in _as_list(content.get("parts")) if part.get("inlineData")]


def _gemini_answer(parts: list[Any], role: str) -> ShownMessage:
    call = next((part["functionCall"] for part in parts if part.get("functionCall")), None)
    text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    if call:
        return _with_calls(role, text, f"{call.get('name')}({js_json(call.get('args'))})")
    return ShownMessage(role, text + "".join(_inline(part) for part in parts if part.get("inlineData")))


def _gemini_preview(part: Any) -> str:
    if part.get("functionCall"):
        return f"Function Call: {js_json(part['functionCall'])}"
    return part["text"] if isinstance(part.get("text"), str) else ""


def _texts_in(content: Any) -> list[str]:
    return [part["text"] for part in _as_list(content.get("parts")) if isinstance(part.get("text"), str)]


def _inline(part: Any) -> str:
    source = part["inlineData"]
    return _image(_data_url({"media_type": source.get("mimeType"), "data": source.get("data")}))


# --- what is no call to a model -------------------------------------------------------------------


def tool(page: Page) -> Shown:
    """Read a call of a tool. Its result is shown only if it is in `message`."""
    request, response = page.request, page.response
    asked = (
        f"Tool: {_js(request, 'toolName')}\nInput: {_indented(request, 'input')}"
        if request.get("_type") == "tool"
        else ""
    )
    details = {"toolName": request.get("toolName"), "input": request.get("input")}
    result = {"status": response.get("status") or "unknown", "message": response.get("message") or ""}
    summary = [f"Status: {response['status']}"] if response.get("status") else []
    if isinstance(response.get("results"), list):
        summary.append(f"Found {len(response['results'])} results")
    text = "\n".join(summary) or response.get("message") or js_json(response)
    answer = _failure(page, "Tool") or (text if response.get("_type") == "tool" else js_json(response))
    return Shown("", asked, answer, details=details, result=result)


_QUERY: Final = {
    "operation": "Operation",
    "databaseName": "Database",
    "text": "Text",
    "query": "Query",
    "topK": "Top K",
    "namespace": "Namespace",
    "collection": "Collection",
    "collectionId": "Collection ID",
    "filter": "Filter",
    "metadata": "Metadata",
}
_ALWAYS: Final = ("operation", "databaseName")
_OBJECTS: Final = ("filter", "metadata")


def vector_db(page: Page) -> Shown:
    """Read a vector query. A score that is not a number makes its mapper fail."""
    request, response = page.request, page.response
    lines = [
        f"{name}: {_indented(request, key) if key in _OBJECTS else _js(request, key)}"
        for key, name in _QUERY.items()
        if request.get(key) or key in _ALWAYS
    ]
    asked = "\n".join(lines) if request.get("_type") == "vector_db" else ""
    matches = _list(response.get("matches") or response.get("results"))
    answer = _failure(page, "Vector DB")
    if not answer and response.get("_type") != "vector_db":
        answer = js_json(response)
    elif not answer:
        found = "\n\n".join(f"Match #{number}{_match(match)}" for number, match in enumerate(matches, 1))
        answer = (response.get("message") or "") + (f"\n\nMatches ({len(matches)}):\n{found}" if matches else "")
    details = {key: request[key] for key in (*_QUERY, "vector") if key in request}
    result = {
        "status": response.get("status") or "unknown",
        "message": response.get("message") or "",
        "matches": list(map(_match_on_page, matches)),
    }
    return Shown("", asked, answer, details=details, result=result)


def _match(match: Any) -> str:
    score = match.get("score")
    if "score" in match and not is_number(score):
        raise TypeError("match.score.toFixed is not a function")
    shown = {
        "ID": match.get("id"),
        "Score": f"{score:.4f}" if is_number(score) else "",
        "Timestamp": match.get("timestamp"),
        "Metadata": js_json(match["metadata"], 2) if match.get("metadata") else "",
        "Content": match.get("text") or match.get("content"),
    }
    return "".join(f"\n{name}: {as_text(value)}" for name, value in shown.items() if value)


def _match_on_page(match: Any) -> dict[str, Any]:
    text, content = match.get("text"), match.get("content")
    shown = {"text": text or content, "content": content or text}
    return {**{name: value for name, value in shown.items() if value is not None}, "metadata": {}, **match}


_SUMMARY: Final = {"status": "Status", "message": "Message", "result": "Result", "data": "Data"}


def data(page: Page) -> Shown:
    """Read other work. All members of the request are shown, also those that only the log API needs."""
    request, response = page.request, page.response
    rest = {key: value for key, value in request.items() if key not in ("_type", "name", "meta")}
    asked = ""
    if request.get("_type") == "data":
        meta = f"\nMeta: {js_json(request['meta'], 2)}" if request.get("meta") else ""
        asked = f"Data Operation: {_js(request, 'name')}{meta}" + (f"\nData: {js_json(rest, 2)}" if rest else "")
    lines = [f"{name}: {_js(response, key)}" for key, name in _SUMMARY.items() if response.get(key) is not None]
    answer = _failure(page, "Data") or "\n".join(lines) or js_json(response)
    details = {"name": request.get("name"), **rest}
    result = {key: value for key, value in response.items() if key != "_type"}
    return Shown("", asked, answer, details=details, result={"status": "success", "message": "", **result})


def unknown(page: Page) -> Shown:
    """Read nothing: of a mapper that is not imitated here."""
    del page
    return Shown()


def assistant(page: Page) -> Shown:
    """Read a run of OpenAI's assistants, of which no content is shown."""
    del page
    return Shown("", "Assistant thread interaction", "")


MAPPERS: Final[Mapping[str, Callable[[Page], Shown]]] = {
    "openai-chat": openai_chat,
    "openai-instruct": openai_instruct,
    "openai-embedding": openai_embedding,
    "openai-response": openai_response,
    "openai-assistant": assistant,
    "anthropic-chat": anthropic_chat,
    "gemini-chat": gemini_chat,
    "tool": tool,
    "vector-db": vector_db,
    "data": data,
}


# --- as JavaScript does it ------------------------------------------------------------------------


def js_json(value: Any, indent: int | None = None) -> str:
    """Return a value as `JSON.stringify` writes it."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(_js_numbers(value), separators=separators, ensure_ascii=False, indent=indent)


def _js_numbers(value: Any) -> Any:
    """Return a value with numbers as JavaScript has them: 1.0 is 1."""
    if isinstance(value, Mapping):
        return {key: _js_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_js_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _known(body: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: body[key] for key in keys if key in body}


def _indented(body: Mapping[str, Any], key: str) -> str:
    """Return a member as JSON in many lines: `undefined` if it is missing."""
    return js_json(body[key], 2) if key in body else "undefined"


def _js(body: Mapping[str, Any], key: str) -> str:
    """Return a member as a template literal writes it: `undefined` if it is missing."""
    if key not in body:
        return "undefined"
    return body[key] if isinstance(body[key], str) else js_json(body[key])


def _failure(page: Page, what: str) -> str:
    if page.status == 200 and page.response.get("status") != "error":  # noqa: PLR2004  # the one status of success
        return ""
    return _message(page.response) or page.response.get("message") or f"{what} operation failed"


def _message(response: Mapping[str, Any]) -> str:
    error = response.get("error")
    return _text(error.get("message")) if isinstance(error, Mapping) else ""


def _image(url: Any) -> str:
    return f"[image {_text(url)[:64]}]" if url else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else js_json(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
