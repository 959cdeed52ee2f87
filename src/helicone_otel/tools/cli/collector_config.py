"""`helicone-otel collector-config`: print a configuration for an OpenTelemetry Collector."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ...collector.config import collector_config


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel collector-config`."""
    parser.description = (
        "Print a configuration for the OpenTelemetry Collector (contrib distribution), with what our dialects know as "
        "statements of its transform processor. Settings that name attributes or dialects of your own add theirs."
    )
    parser.epilog = "Exit code: 0, or 2 if a setting cannot be used."
    parser.add_argument(
        "--processors", action="store_true", help="only the processors, for a collector that you run already"
    )
    parser.set_defaults(main=_print)


def _print(given: Namespace) -> int:
    return collector_config(processors_only=given.processors)
