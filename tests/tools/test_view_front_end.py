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
MOST_LINES = 210


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_what_a_module_imports_is_there_and_all_of_it_is_small(module: Path) -> None:
    code = module.read_text(encoding="utf-8")
    address = f"/static/{module.name}"
    found = [absolute(address, to) for _, _, to in IMPORT.findall(code)]
    assert [one for one in found if file_at(one) is None] == []
    assert len(found) == len(re.findall(r"^(?:import|\} from) .*\"[./]", code, re.MULTILINE))
    assert code.startswith("// ")
    assert len(code.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_makes_markup_or_code_of_a_text(module: Path) -> None:
    assert DANGEROUS.findall(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", sorted(TEMPLATES.glob("*.html")), ids=lambda page: page.name)
def test_no_template_has_a_script_or_style_of_its_own_or_something_from_elsewhere(page: Path) -> None:
    assert INLINE.findall(page.read_text(encoding="utf-8")) == []


def test_every_module_is_of_some_page_and_each_page_names_its_modules_in_its_head() -> None:
    named: set[str] = set()
    for page in PAGES:
        html = with_preloads(f"<head></head>{page.read_text(encoding='utf-8')}")
        head, _, body = html.partition("</head>")
        links = re.findall(r'<link rel="modulepreload" href="([^"]+)">', head)
        assert links[: len(SCRIPT.findall(body))] == SCRIPT.findall(body)
        assert len(links) == len(set(links))
        named.update(links)
    assert {f"/static/{module.name}" for module in MODULES} == {one for one in named if one.startswith("/static/")}
    assert {"/parts/echarts/index.js", "/parts/tabulator/tabulator_esm.min.mjs"} < named
