"""Writes the parts of the documentation that come from the code: `python -m tests.generated`.

These are the tables of settings, of variables and of instrumentations, the references of the API and of the command
line, the processors for a Collector, and the blocks that show an example's file. A test compares them with the code.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from helicone_otel.__main__ import _COMMANDS
from helicone_otel.collector.config import render_variables, session_processors
from helicone_otel.settings import Settings, render_table
from helicone_otel.tools.diagnostics.libraries import LIBRARIES, SDKS, Library
from tests.support.documents import PAGES
from tests.support.paths import REPOSITORY

EXAMPLES: Final = REPOSITORY / "examples"
_SECTION: Final = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$")
_ENTRY: Final = re.compile(r"^ {4}(\w[\w., ]*): (.*)$")
# A parameter for our own tests.
_HIDDEN: Final = frozenset({"registry"})
_SECTION_TITLES: Final = {"Args": "Arguments"}


# --- instrumentations ---------------------------------------------------------------------------------


def instrumentations() -> str:
    """Return the table of libraries, each with the package that instruments it."""
    libraries = [*(sdk.library for sdk in SDKS), *LIBRARIES]
    lines = ["| for | install | or one of |", "|---|---|---|"]
    return "\n".join([*lines, *(_row(library) for library in libraries)])


def _row(library: Library) -> str:
    first, *others = [f"`{name}`" for name in library.instrumentations]
    if library.native:
        first, others = "nothing: it makes spans itself", [first, *others]
    return f"| `{library.distribution}` ({library.kind}) | {first} | {', '.join(others)} |"


# --- API ----------------------------------------------------------------------------------------------


def api(module: str) -> str:
    """Return the reference of a module's public names, from their docstrings."""
    loaded = importlib.import_module(module)
    return "\n\n".join(_entry(name, getattr(loaded, name)) for name in sorted(loaded.__all__, key=str.lower))


def _entry(name: str, value: Any) -> str:
    fixture = getattr(value, "__pytest_wrapped__", None) or getattr(value, "_fixture_function", None)
    if fixture is not None:
        function = getattr(fixture, "obj", fixture)
        heading, documented = f"### `{name}` (fixture)", inspect.getdoc(function)
    else:
        heading, documented = f"### `{name}{_signature(value)}`", inspect.getdoc(value)
    return "\n\n".join([heading, *_markdown(documented or "")])


def _signature(value: Any) -> str:
    if value is Settings:
        return "(*, …)"  # its fields are the settings
    if isinstance(value, type) and issubclass(value, BaseException):
        return ""
    return f"({', '.join(_parameters(inspect.signature(value)))})"


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    was_keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in _HIDDEN:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not was_keyword_only:
            was_keyword_only = True
            yield "*"
        plain = isinstance(parameter.default, str | int | float | bool | None)
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}" if plain else "=…"
        yield f"{parameter.name}{default}"


def _markdown(docstring: str) -> Iterator[str]:
    """Yield the blocks of a docstring in Google's style as Markdown."""
    paragraphs = [paragraph.splitlines() for paragraph in re.split(r"\n{2,}", docstring.strip())]
    example: list[str] = []
    for lines in paragraphs:
        if lines[0].startswith("    "):
            example.append("\n".join(line[4:] for line in lines))
            continue
        yield from _fenced(example)
        example = []
        if title := _SECTION.match(lines[0]):
            if entries := _section(lines[1:]):
                yield f"**{_SECTION_TITLES.get(title[1], title[1])}**"
                yield entries
        else:
            yield "\n".join(lines)
    yield from _fenced(example)


def _fenced(example: list[str]) -> Iterator[str]:
    if example:
        code = "\n\n".join(example)
        yield f"<!-- docstring -->\n```python\n{code}\n```"


def _section(lines: list[str]) -> str:
    """Return the entries of a section as a list, or its text if it has no entries."""
    found: list[str] = []
    is_hidden = False
    for line in lines:
        if entry := _ENTRY.match(line):
            is_hidden = entry[1] in _HIDDEN
        if not is_hidden:
            found.append(f"- `{entry[1]}`: {entry[2]}" if entry else f"  {line.strip()}")
    if found and not found[0].startswith("- "):
        return "\n".join(line.strip() for line in lines)
    return "\n".join(found)


# --- command line -------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the reference of the commands, from their parsers."""
    table = ["| command | what it does |", "|---|---|"]
    table += [f"| [`{name}`](#{name}) | {purpose} |" for name, purpose in _COMMANDS.items()]
    return "\n\n".join(["\n".join(table), *("\n\n".join(_command(name, _parser_of(name))) for name in _COMMANDS)])


def _parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"helicone-otel {command}")
    importlib.import_module(f"helicone_otel.tools.cli.{command.replace('-', '_')}").add_arguments(parser)
    return parser


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name}"
    if parser.description:
        yield parser.description
    formatter = parser._get_formatter()
    rows = [
        f"| `{_invocation(action)}` | {formatter._expand_help(action)} |"
        for action in parser._actions
        if action.help and action.help != argparse.SUPPRESS and action.dest != "help"
    ]
    if rows:
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows])
    if parser.epilog:
        yield parser.epilog


def _invocation(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return metavar if action.nargs in (None, "?") else f"{metavar} …"
    takes_value = action.nargs != 0
    return f"{', '.join(action.option_strings)}{f' {metavar}' if takes_value else ''}"


# --- pages --------------------------------------------------------------------------------------------

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": render_table,
    "collector variables": render_variables,
    "instrumentations": instrumentations,
    "api": lambda: api("helicone_otel"),
    "api of testing": lambda: api("helicone_otel.testing"),
    "api of notebooks": lambda: api("helicone_otel.notebooks"),
    "command line": command_line,
}


def filled(page: str) -> str:
    """Return a page as it should be: with each part, and each example, as the code has it."""
    text = PAGES[page]
    for name, render in PARTS.items():
        if f"<!-- {name} -->\n" in text:
            before, _, rest = text.partition(f"<!-- {name} -->\n")
            text = f"{before}<!-- {name} -->\n{render()}\n<!-- /{name} -->{rest.partition(f'<!-- /{name} -->')[2]}"
    text = re.sub(r"(<!-- processors -->\n```yaml\n).*?(?=^```$)", _processors, text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(<!-- example: (\S+) -->\n```\w*\n).*?(?=^```$)", _example, text, flags=re.DOTALL | re.MULTILINE)


def _processors(found: re.Match[str]) -> str:
    return found[1] + session_processors(Settings())


def _example(found: re.Match[str]) -> str:
    return found[1] + (EXAMPLES / found[2]).read_text()


def main() -> None:
    """Write all pages again."""
    for page, text in PAGES.items():
        if (new := filled(page)) != text:
            (REPOSITORY / page).write_text(new)
            print(page)


if __name__ == "__main__":
    main()
