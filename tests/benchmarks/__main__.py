"""Prints what helicone-otel costs, as ratios within one run: its budgets, and its peers beside it.

    python -m tests.benchmarks [--no-peers] [--markdown | --json] [--check]

Each part runs in an interpreter of its own, each peer in a temporary virtual environment of its own
with this one's version of the SDK, installed from the package index.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.timing import Row, Sample
from tests.support.paths import REPOSITORY

COLUMNS = ("what", "takes", "beside it", "what that is", "ratio", "budget", "verdict")


def main() -> int:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What helicone-otel costs.")
    parser.add_argument("--no-peers", action="store_true", help="measure no peers; installs nothing")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print a Markdown table")
    shape.add_argument("--json", action="store_true", help="print the rows as data")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        with contextlib.redirect_stdout(sys.stderr):  # some peers print
            measured = _measure(options.part)
        print(json.dumps(measured))
        return 0
    rows = [row for part in ("spans", "wire", "rows", "footprint", "log") for row in _rows(sys.executable, part)]
    if not options.no_peers:
        rows += [row for name, peer in PEERS.items() for row in _rows_beside(name, peer)]
    rows.sort(key=lambda row: row.budget is None)
    if options.json:
        print(json.dumps([{**row._asdict(), "figure": row.figure, "verdict": row.result} for row in rows], indent=1))
    else:
        _print([_cells(row) for row in rows], options.markdown)
    return int(options.check and any(row.result == "missed" for row in rows))


def _measure(part: str) -> list[Row]:
    # Imported here: a peer's environment has not what the other parts need.
    if part == "spans":
        from tests.benchmarks.spans import families, idle, in_session

        return [*idle(), *in_session(), *families()]
    if part == "wire":
        from tests.benchmarks.wire import headers

        return headers()
    if part == "rows":
        from tests.benchmarks.rows import rows

        return rows()
    if part == "footprint":
        from tests.benchmarks.footprint import imports, memory, startup

        return [*imports(), *startup(), *memory()]
    if part == "log":
        from tests.benchmarks.log import building, outage, steady, threads

        return [*threads(), *building(), *steady(), *outage()]
    return PEERS[part].measure()


def _rows(python: str | Path, part: str) -> list[Row]:
    print(f"measuring {part} …", file=sys.stderr)
    # The environment of a peer has neither the package nor its tests.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])}
    command = [python, "-m", "tests.benchmarks", "--part", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environ)
    return [
        Row(name, unit, Sample(*ours), Sample(*reference) if reference else None, beside, budget)
        for name, unit, ours, reference, beside, budget in json.loads(done.stdout)
    ]


def _rows_beside(name: str, peer: Peer) -> list[Row]:
    print(f"installing {name} …", file=sys.stderr)
    sdk = "opentelemetry-sdk==" + importlib.metadata.version("opentelemetry-sdk")
    with tempfile.TemporaryDirectory(prefix="helicone-otel-benchmark-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run([*install, sdk, *peer.packages], check=True, stdout=sys.stderr)
            if peer.alone:
                subprocess.run([*install, "--no-deps", *peer.alone], check=True, stdout=sys.stderr)
            return _rows(python, name)
        except subprocess.CalledProcessError as error:
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            return []


def _cells(row: Row) -> tuple[str, ...]:
    ratio = f"{row.figure:.2f} ×" if row.reference else ""
    budget = "" if row.budget is None else f"{row.budget:.2f} ×" if row.reference else f"{row.budget:,g} {row.unit}"
    return (
        row.name,
        _shown(row.ours, row.unit),
        _shown(row.reference, row.unit),
        row.beside,
        ratio,
        budget,
        row.result,
    )


def _shown(sample: Sample | None, unit: str) -> str:
    if sample is None:
        return ""
    return f"{sample.median:,.0f}" if unit == "entries" else f"{sample.median:.2f} ± {sample.spread:.2f} {unit}"


def _print(rows: list[tuple[str, ...]], markdown: bool) -> None:
    with contextlib.suppress(ImportError):
        if not markdown:
            from rich.console import Console
            from rich.table import Table

            table = Table(*COLUMNS, caption="CPU time, median ± median absolute deviation")
            for row in rows:
                table.add_row(*row)
            Console().print(table)
            return
    print("\n".join("| " + " | ".join(line) + " |" for line in (COLUMNS, ("---",) * len(COLUMNS), *rows)))


if __name__ == "__main__":
    sys.exit(main())
