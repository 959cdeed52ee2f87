"""Measures one part in an interpreter of its own and prints its rows as JSON."""

from __future__ import annotations

import contextlib
import json
import sys


def measure(part: str) -> list[object]:
    """Return the rows of a part. Imports lie inside: no peer's environment has what all parts need."""
    with contextlib.redirect_stdout(sys.stderr):  # some peers print
        if part == "spans":
            from spans import idle, in_session

            return [*idle(), *in_session()]
        if part == "wire":
            from wire import headers

            return [*headers()]
        if part == "footprint":
            from footprint import imports, memory

            return [*imports(), *memory()]
        from peers import PEERS

        return [*PEERS[part].measure()]


if __name__ == "__main__":
    json.dump(measure(sys.argv[1]), sys.stdout)
