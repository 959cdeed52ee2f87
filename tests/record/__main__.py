"""Record families again with the newest versions of their libraries, and print what changed.

    python -m tests.record genai_openai oi_openai      # without a name: all families in `families.py`
    python -m tests.record --save /tmp/new oi_openai   # keep the new recording

Each family is recorded in its own virtual environment, with a fake provider on loopback, and compared with its
recording in `tests/data/recordings`. The exit code is 1 if more than versions changed, else 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from helicone_otel.tools.fakes.loopback import serving
from tests.record.changes import changes
from tests.record.families import EVERY, FAMILIES
from tests.record.provider import Provider
from tests.support.environments import empty_environment, installing
from tests.support.paths import REPOSITORY
from tests.support.replay import RECORDINGS


def main() -> int:
    """Record the chosen families; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.record", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(FAMILIES)}; all if none is given")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save the new recordings here")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in FAMILIES]:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    something_changed = False
    for name in options.names or FAMILIES:
        recording = record(name)
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            (options.save / f"{name}.json").write_text(json.dumps(recording, indent=1))
        found = list(changes(json.loads((RECORDINGS / f"{name}.json").read_text()), recording))
        print(f"{name}: {len(recording['spans'])} spans" + ("" if found else ", nothing changed"))
        for change in found:
            print(f"  {change}")
        something_changed = something_changed or any(" → " not in change for change in found)
    return int(something_changed)


def record(name: str) -> dict[str, Any]:
    """Return a new recording of a family.

    Raises:
        subprocess.CalledProcessError: pip or the recording failed; their output is on stderr.
    """
    family = FAMILIES[name]
    with tempfile.TemporaryDirectory(prefix=f"record-{name}-") as folder, serving(Provider()) as provider:
        python = empty_environment(Path(folder))
        subprocess.run([*installing(python), *EVERY, *family.requires], check=True)
        # Settings of this machine must not change the recording.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "HELICONE_"))}
        ran = subprocess.run(
            [python, "-m", "tests.record.inside", name, provider.url],
            env={**environment, **dict(family.environment), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    text = ran.stdout
    for root in (REPOSITORY, folder):  # where it was recorded must not matter
        text = text.replace(f"{root}{os.sep}", "")
    recording: dict[str, Any] = json.loads(text)
    return recording


if __name__ == "__main__":
    sys.exit(main())
