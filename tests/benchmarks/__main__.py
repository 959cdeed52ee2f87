"""Print what helicone-otel costs, as ratios within one run, with its budgets and its peers.

    python -m tests.benchmarks [--no-peers] [--part NAME …] [--markdown | --json] [--check] [--compare OLD.json]

Each part runs in its own interpreter. Each peer runs in its own temporary virtual environment, which has the SDK in the
version that is installed here, and gets its packages from the package index.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.timing import Measurement, Sample
from tests.support.paths import REPOSITORY

# Modules beside this one, and the functions that measure.
PARTS = {
    "spans": ("idle", "in_session", "families"),
    "wire": ("headers",),
    "rows": ("rows",),
    "footprint": ("imports", "memory"),
    "growth": ("slowest", "threads", "memory"),
    "startup": ("startup",),
    "instructions": ("instructions",),
    "log": ("threads", "building", "sending", "steady", "outage"),
    "collector": ("collector",),
}
COLUMNS = ("what", "takes", "beside it", "what that is", "ratio", "budget", "verdict")


def main() -> int:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What helicone-otel costs.")
    parser.add_argument("--no-peers", action="store_true", help="measure no peers; installs nothing")
    parser.add_argument(
        "--part",
        action="append",
        choices=[*PARTS, *PEERS],
        help="measure only this part or peer; repeatable",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="print what changed since this was printed")
    parser.add_argument(
        "--tolerance", type=float, metavar="PERCENT", help="with --compare: exit with 1 if a figure grew by more"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print a Markdown table")
    shape.add_argument("--json", action="store_true", help="print the rows as data")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # a part, in this interpreter
    options = parser.parse_args()
    if options.measure:
        with contextlib.redirect_stdout(sys.stderr):  # some peers print
            measured = _measure(options.measure)
        print(json.dumps(measured))
        return 0
    chosen = options.part or (PARTS if options.no_peers else (*PARTS, *PEERS))
    rows: list[Measurement] = []
    for part in chosen:
        rows += _rows_of_peer(part, PEERS[part]) if part in PEERS else _rows(sys.executable, part)
    rows.sort(key=lambda row: row.budget is None)
    if options.compare:
        grown = _compare(rows, json.loads(options.compare.read_text()))
        return int(options.tolerance is not None and grown > options.tolerance)
    if options.json:
        print(json.dumps([{**row._asdict(), "figure": row.figure, "verdict": row.result} for row in rows], indent=1))
    else:
        _print([_cells(row) for row in rows], options.markdown)
    return int(options.check and any(row.result == "missed" for row in rows))


def _measure(part: str) -> list[Measurement]:
    if part in PEERS:
        return PEERS[part].measure()
    # Imported here: a peer's environment does not have what the other parts need.
    module = importlib.import_module(f"tests.benchmarks.{part}")
    return [row for name in PARTS[part] for row in getattr(module, name)()]


def _rows(python: str | Path, part: str) -> list[Measurement]:
    print(f"measuring {part} …", file=sys.stderr)
    # The environment of a peer has neither the package nor its tests.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])}
    command = [python, "-m", "tests.benchmarks", "--measure", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environ)
    return [
        Measurement(name, unit, Sample(*ours), Sample(*reference) if reference else None, beside, budget)
        for name, unit, ours, reference, beside, budget in json.loads(done.stdout)
    ]


def _rows_of_peer(name: str, peer: Peer) -> list[Measurement]:
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


def _compare(rows: Iterable[Measurement], old: Iterable[Mapping[str, Any]]) -> float:
    """Print how each figure changed; return by how many percent the one did that grew most.

    A figure that is compared with something else than before, or with another version of it, is not comparable.
    """
    before = {(row["name"], row["beside"]): row["figure"] for row in old}
    most = 0.0
    for row in rows:
        if (then := before.get((row.name, row.beside))) is None:
            print(f"{row.name}: {row.figure:.3f}, nothing to compare with")
            continue
        change = (row.figure / then - 1) * 100
        print(f"{row.name}: {then:.3f} -> {row.figure:.3f} ({change:+.1f} %)")
        most = max(most, change)
    return most


def _cells(row: Measurement) -> tuple[str, ...]:
    ratio = f"{row.figure:.2f} ×" if row.reference else ""
    budget = "" if row.budget is None else f"{row.budget:.2f} ×" if row.reference else f"{row.budget:,g} {row.unit}"
    return (
        row.name,
        _formatted(row.ours, row.unit),
        _formatted(row.reference, row.unit),
        row.beside,
        ratio,
        budget,
        row.result,
    )


def _formatted(sample: Sample | None, unit: str) -> str:
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
