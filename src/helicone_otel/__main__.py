"""The command `helicone-otel`."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_PROGRAM: Final = "helicone-otel"
# What each command does. Its arguments are added by the module of that name in `tools.cli`, which is imported only for
# that command. It must be importable without the extra of the command.
_COMMANDS: Final = {
    "demo": "run a small agent against a stand-in gateway, and check its sessions",
    "run": "run a Python application under OpenTelemetry and draw its sessions at the end",
    "view": "show sessions in a local view, fed by OTLP and by Helicone's log API",
    "doctor": "explain why headers would or would not leave from this environment",
    "fake": "be a stand-in for Helicone on this machine: gateway, log and read API",
    "explain": "show what each span in a file is, and which dialect and row decided",
    "env": "print the settings in force, and where each comes from",
    "collector-config": "print a configuration for an OpenTelemetry Collector that knows sessions of any language",
}
_TASKS: Final = (
    ("see it work, without any key", "demo"),
    ("see the sessions of your app", "run python app.py"),
    ("watch sessions in the browser", "view"),
    ("find out why nothing arrives", "doctor"),
    ("try your app without an account", "fake"),
)
# Packages that bring scripts for pages.
_SCRIPTS: Final = ("xlsx2echarts", "js_lib_tabulator")
# The packages of each extra, as modules.
_EXTRAS: Final = {
    "view": ("starlette", "uvicorn", "jinja2", "markdown_it", "pygments", "genai_prices", *_SCRIPTS),
    "run": ("rich", "opentelemetry.distro"),
    "demo": (
        "rich",
        "opentelemetry.distro",
        "openai",
        "anthropic",
        "qdrant_client",
        "mcp",
        "opentelemetry.instrumentation.genai.openai",
        "opentelemetry.instrumentation.qdrant",
    ),
}
# These read settings, and would leave a misspelt one out in silence. Under `run`, the app says so itself.
_READING_SETTINGS: Final = frozenset({"view", "explain", "collector-config"})
# As a shell reports a process that Ctrl-C ended.
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Those after `helicone-otel`; by default those of this process.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        _make_output_safe()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except SystemExit as end:  # argparse has printed help or what is wrong, or rich met a closed pipe
        code = end.code if isinstance(end.code, int) else 2
    except BrokenPipeError:  # the reader has closed the pipe (`| head`)
        code = 1
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except OSError as error:  # for instance, the disk is full
        _give_up_broken_streams()
        print(f"{_PROGRAM}: {error.strerror or error}", file=sys.stderr)
        code = 1
    _give_up_broken_streams()
    return code


def _run(arguments: Sequence[str]) -> int:
    given = parsed(arguments)
    if not _has_extras(given):
        return 2
    if given.command in _READING_SETTINGS:
        _warn_of_misspelt_variables(given.command)
    code: int = given.main(given)
    return code


def parsed(arguments: Sequence[str]) -> Namespace:
    """Return the arguments of a command, with its function as `main`.

    Args:
        arguments: Those after `helicone-otel`.

    Raises:
        SystemExit: Help was wanted and is printed, or an argument is wrong; then the usage of its command is printed.
    """
    parser = _parser()
    first = arguments[0] if arguments else "--help"
    if first not in _COMMANDS:
        parser.parse_args([first])
        parser.error(f"there is no command {first!r:.40}{_suggestion(first, _COMMANDS)}. {_PROGRAM} --help lists them")
    command: ArgumentParser = _CommandParser(prog=f"{_PROGRAM} {first}", allow_abbrev=False)
    module = first.replace("-", "_")
    importlib.import_module(f".tools.cli.{module}", __package__).add_arguments(command)
    given: Namespace = command.parse_args(arguments[1:], Namespace(command=first))
    if "check" in given:
        given.check(command, given)
    return given


def _parser() -> ArgumentParser:
    """Return the parser of what stands before a command. It knows the commands only to list them."""
    parser = ArgumentParser(
        prog=_PROGRAM,
        usage=f"{_PROGRAM} [--help] [--version] command ...",
        description="Helicone Sessions for apps that are instrumented with OpenTelemetry.",
        epilog="\n".join(_help_lines()),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {_version()}", help="print the version")
    parser.add_argument("command", nargs="?", help=SUPPRESS)
    return parser


def _help_lines() -> Iterable[str]:
    yield "what people want:"
    yield from (f"  {task:32}  {_PROGRAM} {command}" for task, command in _TASKS)
    yield ""
    yield "commands:"
    yield from (f"  {name:16}  {purpose}" for name, purpose in _COMMANDS.items())
    yield ""
    yield f"{_PROGRAM} COMMAND --help explains a command."


def _version() -> str:
    from . import __version__  # noqa: PLC0415  # it is looked up

    return __version__


class _CommandParser(ArgumentParser):
    """The parser of one command. It meets an unknown option with a similar one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", Path, _file_of)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # argparse's own has overloads
        given, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            options = re.findall(r"--[\w-]+", self.format_help())
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_suggestion(word, options)}")
        return given


def _file_of(text: str) -> Path:
    """Return the file that an argument names. `Path` would take the empty text of an unset variable for the folder."""
    if not text:
        raise ArgumentTypeError("the name of the file is empty")
    return Path(text)


def _suggestion(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only for an error

    similar = get_close_matches(word, [*known], 1)
    return f" (did you mean {similar[0]}?)" if similar else ""


def _has_extras(given: Namespace) -> bool:
    """Print which packages a command lacks, if it lacks any."""
    extras = [given.command, *(["view"] if getattr(given, "view", False) else [])]
    missing = [name for extra in extras for name in _EXTRAS.get(extra, ()) if not _is_installed(name)]
    if missing:
        remedy = f'pip install "helicone-otel[{",".join(extras)}]"'
        print(f"{_PROGRAM} {given.command}: not installed: {', '.join(missing)}. {remedy}", file=sys.stderr)
    return not missing


def _warn_of_misspelt_variables(command: str) -> None:
    from .settings import misspelt_text, misspelt_variables  # noqa: PLC0415  # not all commands need them

    for name, meant in misspelt_variables(os.environ):
        print(f"{_PROGRAM} {command}: {misspelt_text(name, meant)}", file=sys.stderr)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not there
        return False


def _make_output_safe() -> None:
    """Let no text fail because a stream is closed, or cannot encode a character."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # it stays open
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up_broken_streams() -> None:
    """Let Python not write at its end what could not be written, which would be a failure of its own.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
