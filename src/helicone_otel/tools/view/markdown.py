"""Reads texts as Markdown, for the pages: as trees of elements, which a page builds without parsing any markup.

A tree is a list of nodes. A node is a text, or `[tag, attributes, node, …]`. Only the tags of `TAGS` occur, and only
the attributes `href` (http or https), `src` (a picture inside of the text) and `alt`.

https://markdown-it-py.readthedocs.io, https://pygments.org
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, String, _TokenType

# Longer texts are shown as they are: a hostile text takes about 5 µs for each character.
MAX_TEXT: Final = 40_000
# Of the texts of one request, those beyond this are shown as they are.
MAX_TEXTS: Final = 120_000
_MAX_CODE: Final = 8_000
# Some rules of Pygments take a time that grows with the square of the code. The rest of such code has no colours.
_CODE_SECONDS: Final = 0.2
# A text without any of these is no Markdown. Hyphens, plus signs and numbers count at the start of a line.
_SIGNS: Final = re.compile(r"[*_`#\[|~>\\]|^\s*(?:[-+=]|\d+[.)])|&\w|&#|https?:", re.MULTILINE)
_WEB: Final = re.compile(r"(?i)https?://[^\s/?#]")
_PICTURE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+\Z")

TAGS: Final = frozenset(
    [
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
        *("table", "thead", "tbody", "tr", "th", "td", "a", "img", "br", "hr", "span"),
        *("span.hl-c", "span.hl-d", "span.hl-f", "span.hl-i", "span.hl-k", "span.hl-n", "span.hl-s"),
    ]
)
# The first kind of token that fits decides. https://pygments.org/docs/tokens/
_COLOURS: Final = (
    (Comment, "span.hl-c"),
    (Generic.Deleted, "span.hl-d"),
    (Generic.Inserted, "span.hl-i"),
    (Name.Function, "span.hl-f"),
    (Name.Class, "span.hl-f"),
    (Name.Tag, "span.hl-k"),
    (Keyword, "span.hl-k"),
    (Number, "span.hl-n"),
    (String, "span.hl-s"),
)
_LANGUAGES: Final = frozenset(
    [
        *("bash", "c", "c++", "cpp", "csharp", "css", "diff", "dockerfile", "go", "graphql", "html", "ini", "java"),
        *("javascript", "js", "json", "jsx", "kotlin", "php", "powershell", "py", "python", "r", "ruby", "rust", "sh"),
        *("shell", "sql", "swift", "toml", "ts", "tsx", "typescript", "xml", "yaml", "yml"),
    ]
)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # Definitions of links would vanish from the text, and an indented prompt is no code.
    return parser.disable(["reference", "code"])


_PARSER: Final = _parser()


class MarkdownReader:
    """Reads the texts of messages as Markdown, up to a number of characters.

    Args:
        characters: Texts beyond these are shown as they are.
    """

    def __init__(self, characters: int = MAX_TEXTS) -> None:
        self._left = characters

    def trees(self, messages: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
        """Yield message, part and tree of each text that is Markdown."""
        for place, message in enumerate(messages):
            for number, part in enumerate(message["parts"]):
                text = part.get("text", "")
                self._left -= len(text)
                if self._left >= 0 and (tree := markdown_of(text)) is not None:
                    yield [place, number, tree]


@lru_cache(maxsize=8)  # a tree can take megabytes
def markdown_of(text: str) -> list[Any] | None:
    """Return the tree of a text; `None` if it is not Markdown, or too long."""
    if len(text) > MAX_TEXT or not _SIGNS.search(text):
        return None
    tree = _tree(_PARSER.parse(text))
    return None if all(_is_plain(node) for node in tree) else tree


def _is_plain(node: Any) -> bool:
    return isinstance(node, list) and node[0] == "p" and all(isinstance(child, str) for child in node[2:])


def _tree(tokens: Sequence[Token]) -> list[Any]:
    root: list[Any] = []
    open_nodes: list[list[Any]] = [root]
    for token in tokens:
        if token.nesting < 0:
            open_nodes.pop()
            continue
        node = _node(token)
        if token.nesting > 0:
            open_nodes[-1].append(node)
            open_nodes.append(node)
        else:
            _extend(open_nodes[-1], node)
    return root


def _extend(parent: list[Any], nodes: list[Any]) -> None:
    """Add nodes, and join texts beside each other."""
    for node in nodes:
        if isinstance(node, str) and parent and isinstance(parent[-1], str):
            parent[-1] += node
        elif node != "":
            parent.append(node)


def _node(token: Token) -> list[Any]:
    """Return the element that a token opens; for any other token, a list of nodes."""
    if token.nesting > 0:
        href = str(token.attrs.get("href", ""))
        tag = token.tag if token.tag in TAGS else "span"
        return [tag, {"href": href} if _WEB.match(href) else {}]
    node = _NODES.get(token.type)
    return node(token) if node is not None else [token.content]


def _code(token: Token) -> list[Any]:
    language = token.info.split(maxsplit=1)[0].lower() if token.info.strip() else ""
    return [["pre", {}, *_highlighted(token.content, language)]]


def _image(token: Token) -> list[Any]:
    """Return a picture that is inside of the text, or a link to one that is elsewhere."""
    address = str(token.attrs.get("src", ""))
    alt = token.content or "image"
    if _PICTURE.match(address):
        return [["img", {"src": address, "alt": alt}]]
    return [["a", {"href": address}, alt] if _WEB.match(address) else f"![{alt}]({address})"]


_NODES: Final[dict[str, Callable[[Token], list[Any]]]] = {
    "inline": lambda token: _tree(token.children or []),
    "fence": _code,
    "code_inline": lambda token: [["code", {}, token.content]],
    "image": _image,
    "softbreak": lambda _: ["\n"],
    "hardbreak": lambda _: [["br", {}]],
    "hr": lambda _: [["hr", {}]],
}


def _highlighted(code: str, language: str) -> Iterator[Any]:
    if language not in _LANGUAGES or len(code) > _MAX_CODE:
        yield code
        return
    for colour, some in groupby(_code_tokens(code, language), key=lambda token: token[0]):
        text = "".join(value for _, value in some)
        yield [colour, {}, text] if colour else text


def _code_tokens(code: str, language: str) -> Iterator[tuple[str | None, str]]:
    """Yield pieces of code, each with the tag for its colour."""
    end = time.thread_time() + _CODE_SECONDS
    for start, kind, text in get_lexer_by_name(language).get_tokens_unprocessed(code):
        if time.thread_time() > end:
            yield None, code[start:]
            return
        yield _colour(kind), text


def _colour(kind: _TokenType) -> str | None:
    return next((colour for one, colour in _COLOURS if kind[: len(one)] == one), None)
