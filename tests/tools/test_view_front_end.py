"""The pages' own files: whole, without markup made of data, and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason='needs the extra "view"')

from helicone_otel.tools.view.assets import IMPORT, SCRIPT, STATIC, TEMPLATES, absolute, file_at, with_preloads

MODULES = sorted(STATIC.glob("*.js"))
PAGES = sorted(page for page in TEMPLATES.glob("*.html") if page.name != "base.html")
# What makes markup, or code, of a text.
DANGEROUS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc")
INLINE = re.compile(
    r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=\"/static/)|https?://(?!www\.w3\.org/)|\|\s*safe"
)
LATER = re.compile(r"""\bimport\("([^"]+)"\)(?!\.)""")
MOST_LINES = 210


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_import_of_a_module_exists_and_every_module_is_small(module: Path) -> None:
    code = module.read_text(encoding="utf-8")
    address = f"/static/{module.name}"
    found = [absolute(address, to) for _, _, to in IMPORT.findall(code)]
    assert [one for one in found if file_at(one) is None] == []
    assert len(found) == len(re.findall(r"^(?:import|\} from) .*\"[./]", code, re.MULTILINE)) + len(LATER.findall(code))
    assert code.startswith("// ")
    assert len(code.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_makes_markup_or_code_of_a_text(module: Path) -> None:
    assert DANGEROUS.findall(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", sorted(TEMPLATES.glob("*.html")), ids=lambda page: page.name)
def test_no_template_has_an_inline_script_or_style_or_uses_another_site(page: Path) -> None:
    assert INLINE.findall(page.read_text(encoding="utf-8")) == []


def preloaded(html: str) -> list[str]:
    return re.findall(r'<link rel="modulepreload" href="([^"]+)">', with_preloads(html).partition("</head>")[0])


def test_every_module_belongs_to_a_page_and_each_page_preloads_its_modules() -> None:
    named: set[str] = set()
    for page in PAGES:
        html = f"<head></head>{page.read_text(encoding='utf-8')}"
        links = preloaded(html)
        assert links[: len(SCRIPT.findall(html))] == SCRIPT.findall(html)
        assert len(links) == len(set(links))
        named.update(links)
    later = {absolute(f"/static/{one.name}", to) for one in MODULES for to in LATER.findall(one.read_text("utf-8"))}
    assert not later & named
    for address in later:
        named.update(preloaded(f'<head></head><script type="module" src="{address}"></script>'))
    assert {f"/static/{module.name}" for module in MODULES} == {one for one in named if one.startswith("/static/")}
    assert {"/parts/echarts/echarts.min.js", "/parts/tabulator/tabulator_esm.min.mjs"} < named


def test_the_page_of_a_session_begins_with_what_it_needs_to_be_read() -> None:
    page = (TEMPLATES / "session.html").read_text(encoding="utf-8")
    assert not [one for one in preloaded(f"<head></head>{page}") if one.startswith("/parts/")]
