"""The command `helicone-otel`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from .tools.cli import explain, view

_VIEW: Final = ("starlette", "uvicorn", "jinja2", "nicegui", "js_lib_tabulator")
_NEEDED: Final = {
    "view": _VIEW,
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
    """Run a subcommand and return its exit code."""
    parser = _parser()
    ours, program = _split(sys.argv[1:] if arguments is None else arguments)
    given = parser.parse_args(ours)
    extras = [given.command, *(["view"] if getattr(given, "view", False) else [])]
    missing = [name for extra in extras for name in _NEEDED.get(extra, ()) if not _is_installed(name)]
    if missing:
        extra = f'pip install "helicone-otel[{",".join(extras)}]"'
        print(f"helicone-otel {given.command}: not installed: {', '.join(missing)}. {extra}", file=sys.stderr)
        return 2
    command = [*given.program, *program] if given.command == "run" else []
    if given.command == "run" and not command:
        parser.error("run: what should be run? helicone-otel run -- python app.py")
    try:
        code = _run(given, command)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough (`| head`), and what is left is not to be tried again at the end:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(given: argparse.Namespace, command: Sequence[str]) -> int:
    # Each subcommand imports what only it needs, so that one works without the extras of another.
    match given.command:
        case "run":
            from .tools.cli.run import run  # noqa: PLC0415

            code = run(command, as_json=given.json, in_view=given.view)
        case "demo":
            from .tools.cli.demo import demo  # noqa: PLC0415

            code = demo(as_json=given.json, in_view=given.view)
        case "doctor":
            from .tools.cli.doctor import doctor  # noqa: PLC0415

            code = doctor(as_json=given.json, sends=given.send)
        case "view":
            code = view.view(given)
        case "explain":
            code = explain.explain(given)
        case "collector-config":
            from .collector.config import collector_config  # noqa: PLC0415

            code = collector_config(processors_only=given.processors)
        case _:
            from .settings import render_table  # noqa: PLC0415

            print(render_table())
            code = 0
    return code


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Cut at the first `--`: what follows is the application's, whatever it looks like."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="helicone-otel", description="Helicone Sessions for apps that are instrumented with OpenTelemetry."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    run = commands.add_parser(
        "run",
        help="run a Python application under OpenTelemetry and draw its sessions at the end",
        description="Run a Python application under opentelemetry-instrument with helicone-otel on, configured by the "
        "OTEL_* and HELICONE_* variables of the environment. Its input, output and exit code pass through, and its "
        "spans go where they went anyway. At the end its sessions are drawn on standard error.",
        usage="helicone-otel run [--json] [--view] -- command ...",
    )
    run.add_argument(
        "--json", action="store_true", help="print the sessions as JSON; the application's output goes to stderr"
    )
    run.add_argument("--view", action="store_true", help="show the sessions in a local view, until Ctrl-C")
    run.add_argument("program", nargs="*", metavar="command", help="for instance: python app.py")
    demo = commands.add_parser(
        "demo",
        help="run a small agent against a stand-in gateway, and check its sessions",
        description="Run a small agent that knows nothing of helicone-otel against a stand-in for Helicone's gateway "
        "on loopback, draw its sessions, and check them against what the gateway, the vector store and the tool saw.",
    )
    demo.add_argument("--json", action="store_true", help="print the sessions as JSON")
    demo.add_argument("--view", action="store_true", help="show the sessions in a local view, until Ctrl-C")
    doctor = commands.add_parser(
        "doctor",
        help="say why headers would or would not leave from this environment",
        description="Start a process as opentelemetry-instrument would start your app here, have the LLM SDKs that are "
        "installed call a stand-in for a gateway on loopback, and say what left, what did not, and what to do next. "
        "Nothing is sent elsewhere, unless --send says so.",
        epilog="Exit code: 0 if all is well or there are only warnings, 1 if there are problems, 2 if something could "
        "not be looked at.",
    )
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    doctor.add_argument(
        "--send",
        action="store_true",
        help="also log one tiny session to Helicone with HELICONE_API_KEY, and read it back",
    )
    explain.add_arguments(
        commands.add_parser("explain", help="say of each span in a file what it is, and which dialect and row decided")
    )
    view.add_arguments(
        commands.add_parser("view", help="show sessions in a local view, fed by OTLP and by Helicone's log API")
    )
    collector = commands.add_parser(
        "collector-config",
        help="print a configuration for an OpenTelemetry Collector that knows sessions of any language",
        description="Print a configuration for the OpenTelemetry Collector (contrib distribution), with what our "
        "dialects know as statements of its transform processor. Settings that name attributes or dialects of your own "
        "add theirs.",
    )
    collector.add_argument(
        "--processors", action="store_true", help="only the processors, for a collector that you run already"
    )
    commands.add_parser("env", help="print the settings and their environment variables")
    return parser


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


if __name__ == "__main__":
    sys.exit(main())
