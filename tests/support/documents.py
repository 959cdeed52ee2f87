"""The pages that users read: the README and `docs/`. Their blocks of code and their marked parts are tested.

A block of code has a *mark* if the line above it is an HTML comment, which no reader sees: `<!-- test -->`. A *part* is
what stands between `<!-- settings -->` and `<!-- /settings -->`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tests.support.paths import REPOSITORY

DOCS: Final = REPOSITORY / "docs"
README: Final = (REPOSITORY / "README.md").read_text()
PAGES: Final = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text()
    for path in (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))
}
_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<mark>[^\n/][^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: The page that shows it.
        language: The word after the three backticks.
        mark: The text of the comment above it; empty if there is none.
        code: The lines, without the backticks.
    """

    page: str
    language: str
    mark: str
    code: str

    @property
    def name(self) -> str:
        """The page, and the first words of the code: an id for a test."""
        return f"{self.page}: {' '.join(self.code.split()[:6])}"


BLOCKS: Final = [
    Block(page, found["language"], found["mark"] or "", found["code"])
    for page, text in PAGES.items()
    for found in _BLOCK.finditer(text)
]


def blocks(language: str, mark: str = "") -> list[Block]:
    """Return the blocks in a language that have this mark, in the order of the pages."""
    return [block for block in BLOCKS if (block.language, block.mark) == (language, mark)]


def block(language: str, mark: str) -> str:
    """Return the code of the only block in a language that has this mark."""
    (found,) = blocks(language, mark)
    return found.code


def part(name: str) -> str:
    """Return the part of a page that has this name. One page has it."""
    (found,) = [text for text in PAGES.values() if f"<!-- {name} -->\n" in text]
    return found.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0].strip()


def lines(start: str, page: str | None = None) -> list[str]:
    """Return the lines of shell commands that begin with a text, without their comments: of one page, or of all."""
    return [
        line.partition(" #")[0].strip()
        for each in BLOCKS
        if each.language == "sh" and page in (None, each.page)
        for line in each.code.splitlines()
        if line.startswith(start)
    ]
