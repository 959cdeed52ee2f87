"""Record families again, with the newest versions of their libraries, and say what changed.

    python -m tests.record genai_openai oi_openai      # or without a name: all that `families.py` lists
    python -m tests.record --save /tmp/new oi_openai   # keep the new recording

Each is recorded in a virtual environment of its own, against a stand-in for the provider on loopback, and
compared with the one in `tests/data/recordings`. Exit code: 0 if nothing but versions changed, 1 if something did.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from helicone_otel.tools.fakes.loopback import serving
from tests.record.changes import changes
from tests.record.families import EVERY, FAMILIES
from tests.record.provider import Provider
from tests.support.paths import REPOSITORY
from tests.support.replay import RECORDINGS


def main() -> int:
    """Record what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.record", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(FAMILIES)}; all if none is given")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="where to put the new recordings")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in FAMILIES]:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    something_changed = False
    for name in given.names or FAMILIES:
        recording = record(name)
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{name}.json").write_text(json.dumps(recording, indent=1))
        found = list(changes(json.loads((RECORDINGS / f"{name}.json").read_text()), recording))
        print(f"{name}: {len(recording['spans'])} spans" + ("" if found else ", nothing changed"))
        for change in found:
            print(f"  {change}")
        something_changed = something_changed or any(" → " not in change for change in found)
    return int(something_changed)


def record(name: str) -> dict[str, Any]:
    """Return a new recording of a family.

    Raises:
        subprocess.CalledProcessError: pip or the recording failed; what they said stands on stderr.
    """
    family = FAMILIES[name]
    with tempfile.TemporaryDirectory(prefix=f"record-{name}-") as folder, serving(Provider()) as provider:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        quiet = "--quiet", "--disable-pip-version-check"
        subprocess.run([python, "-m", "pip", "install", *quiet, *EVERY, *family.requires], check=True)
        # Nothing of the machine's own settings may change what is recorded.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "HELICONE_"))}
        ran = subprocess.run(
            [python, "-m", "tests.record.inside", name, provider.url],
            env={**environment, **dict(family.environment), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    said = ran.stdout
    for root in (REPOSITORY, folder):  # where it was recorded says nothing of the library
        said = said.replace(f"{root}{os.sep}", "")
    recording: dict[str, Any] = json.loads(said)
    return recording


if __name__ == "__main__":
    sys.exit(main())
