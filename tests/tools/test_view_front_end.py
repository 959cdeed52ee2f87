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
def test_every_import_of_a_module_exists_and_every_module_is_small(module: Path) -> None:
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
def test_no_template_has_an_inline_script_or_style_or_uses_another_site(page: Path) -> None:
    assert INLINE.findall(page.read_text(encoding="utf-8")) == []


def test_every_module_belongs_to_a_page_and_each_page_preloads_its_modules() -> None:
    named: set[str] = set()
    for page in PAGES:
        html = with_preloads(f"<head></head>{page.read_text(encoding='utf-8')}")
        head, _, body = html.partition("</head>")
        links = re.findall(r'<link rel="modulepreload" href="([^"]+)">', head)
        assert links[: len(SCRIPT.findall(body))] == SCRIPT.findall(body)
        assert len(links) == len(set(links))
        named.update(links)
    assert {f"/static/{module.name}" for module in MODULES} == {one for one in named if one.startswith("/static/")}
    assert {"/parts/echarts/echarts.min.js", "/parts/tabulator/tabulator_esm.min.mjs"} < named
