"""Counts the instructions of a program by Valgrind's callgrind: the same in every run, however busy the machine is."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_COUNT: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)


class Counted(NamedTuple):
    """What a program printed, and how many instructions it took, by the names of the files that callgrind wrote."""

    output: str
    instructions: Mapping[str, int]


def is_there() -> bool:
    """Tell whether there is a Valgrind."""
    return shutil.which("valgrind") is not None


def count(command: Sequence[str], environ: Mapping[str, str], option: str, file: str) -> Counted:
    """Run a program under callgrind.

    Args:
        command: The program with its arguments.
        environ: Its environment.
        option: An option of callgrind's.
        file: The name of the files that callgrind writes; `%p` in it stands for the process.
    """
    with tempfile.TemporaryDirectory(prefix="helicone-otel-instructions-") as folder:
        valgrind = ["valgrind", "--tool=callgrind", option, f"--callgrind-out-file={folder}/{file}"]
        done = subprocess.run(
            [*valgrind, *command], check=True, capture_output=True, text=True, env=environ, cwd=folder
        )
        found = {path.name: _COUNT.search(path.read_text()) for path in Path(folder).iterdir()}
    return Counted(done.stdout, {name: int(one[1]) for name, one in found.items() if one is not None})
