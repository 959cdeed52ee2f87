"""What MkDocs needs beside the pages: the documents at the top of the repository, and links that leave `docs/`.

The pages are plain Markdown with relative links, so that they can be read in the repository as well. MkDocs knows only
the files of `docs/`. So the documents at the top become pages, and links to other files lead to the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_TOP = Path(__file__).parents[1]
# The documents at the top that are pages of the site.
_DOCUMENTS = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the documents at the top of the repository."""
    for name in _DOCUMENTS:
        files.append(File.generated(config, name, content=(_TOP / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Rewrite the links that leave `docs/`."""
    here = "" if page.file.src_uri in _DOCUMENTS else posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def rewritten(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, found[1]))
        inside = (
            target if target in _DOCUMENTS else target.removeprefix("docs/") if target.startswith("docs/") else None
        )
        if inside is not None and inside.endswith((".md", ".png")):
            link = posixpath.relpath(inside, posixpath.dirname(page.file.src_uri) or ".")
        else:
            kind = "tree" if (_TOP / target).is_dir() else "blob"
            link = f"{config.repo_url}/{kind}/main/{target}"
        return f"]({link}{found[2] or ''})"

    return _LINK.sub(rewritten, markdown)
