"""The command `helicone-otel`."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

# What each command does. The arguments of the first five are added by the module of the command in `tools.cli`, which
# is imported only for that command. It must be importable without the extra of the command.
_TOOLS: Final = {
    "run": "run a Python application under OpenTelemetry and draw its sessions at the end",
    "demo": "run a small agent against a stand-in gateway, and check its sessions",
    "doctor": "explain why headers would or would not leave from this environment",
    "explain": "show what each span in a file is, and which dialect and row decided",
    "view": "show sessions in a local view, fed by OTLP and by Helicone's log API",
}
_COMMANDS: Final = {
    **_TOOLS,
    "collector-config": "print a configuration for an OpenTelemetry Collector that knows sessions of any language",
    "env": "print the settings and their environment variables",
}
# The packages of each extra, as modules.
_EXTRAS: Final = {
    "view": ("starlette", "uvicorn", "jinja2", "xlsx2echarts", "js_lib_tabulator"),
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Those after `helicone-otel`; by default those of this process.
    """
    ours, program = _split(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(ours[0] if ours else "")
    given = parser.parse_args(ours)
    if not _has_extras(given):
        return 2
    if given.command == "run":
        given.program += program
        if not given.program:
            parser.error("run: what should be run? helicone-otel run -- python app.py")
    try:
        code: int = given.main(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`). Python must not try to write the rest at its end:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Cut at the first `--`: what follows belongs to the application, whatever it looks like."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def _parser(command: str | None = None) -> ArgumentParser:
    """Return the parser of all commands.

    Args:
        command: The only one whose arguments are needed; all are if it is not given.
    """
    parser = ArgumentParser(
        prog="helicone-otel", description="Helicone Sessions for apps that are instrumented with OpenTelemetry."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in _COMMANDS.items():
        added = commands.add_parser(name, help=purpose)
        if command in (None, name):
            _add_arguments(name, added)
    return parser


def _add_arguments(command: str, parser: ArgumentParser) -> None:
    if command in _TOOLS:
        importlib.import_module(f".tools.cli.{command}", __package__).add_arguments(parser)
    elif command == "collector-config":
        parser.description = (
            "Print a configuration for the OpenTelemetry Collector (contrib distribution), with what our "
            "dialects know as statements of its transform processor. Settings that name attributes or dialects of your "
            "own add theirs."
        )
        parser.add_argument(
            "--processors", action="store_true", help="only the processors, for a collector that you run already"
        )
        parser.set_defaults(main=_collector_config)
    else:
        parser.set_defaults(main=_env)


def _collector_config(given: Namespace) -> int:
    from .collector.config import collector_config  # noqa: PLC0415  # only for this command

    return collector_config(processors_only=given.processors)


def _env(_: Namespace) -> int:
    from .settings import render_table  # noqa: PLC0415  # only for this command

    print(render_table())
    return 0


def _has_extras(given: Namespace) -> bool:
    """Print which packages a command lacks, if it lacks any."""
    extras = [given.command, *(["view"] if getattr(given, "view", False) else [])]
    missing = [name for extra in extras for name in _EXTRAS.get(extra, ()) if not _is_installed(name)]
    if missing:
        remedy = f'pip install "helicone-otel[{",".join(extras)}]"'
        print(f"helicone-otel {given.command}: not installed: {', '.join(missing)}. {remedy}", file=sys.stderr)
    return not missing


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not there
        return False


if __name__ == "__main__":
    sys.exit(main())
