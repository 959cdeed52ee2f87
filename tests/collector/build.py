"""Builds the collector that the tests run: `python tests/collector/build.py`.

It needs Go 1.25 or newer and a module proxy. Modules and compiled packages stay in Go's own caches. If the collector
was built from the same manifest before, nothing happens.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
MANIFEST: Final = FOLDER / "builder.yaml"
# Git ignores all folders of this name.
BUILD: Final = FOLDER / "build"
BINARY: Final = BUILD / "otelcol"
BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
# https://pkg.go.dev/go.opentelemetry.io/collector/cmd/builder
_FLAGS: Final = ("-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", "-s -w")


def main() -> int:
    """Build the collector if necessary, print its path, and return an exit code."""
    stamp = BUILD / "manifest.sha256"
    digest = hashlib.sha256(MANIFEST.read_bytes() + BUILDER.encode()).hexdigest()
    if not (BINARY.exists() and stamp.exists() and stamp.read_text() == digest):
        if shutil.which("go") is None:
            print("The collector is built with Go, and there is no `go` on PATH: https://go.dev/dl", file=sys.stderr)
            return 1
        BUILD.mkdir(exist_ok=True)
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                _build(Path(folder))
            except subprocess.CalledProcessError as error:
                print(f"The collector was not built: {error}", file=sys.stderr)
                return 1
        stamp.write_text(digest)
    print(BINARY)
    return 0


def _build(folder: Path) -> None:
    # The builder could compile too, but without these flags, and it hides Go's error messages.
    environ = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    sources = BUILD / "sources"
    generate = [folder / "builder", "--config", MANIFEST, "--skip-compilation"]
    subprocess.run(["go", "install", BUILDER], env=environ, check=True)
    subprocess.run(generate, cwd=FOLDER, env=environ, check=True)
    subprocess.run(["go", "build", *_FLAGS, "-o", BINARY, "."], cwd=sources, env=environ, check=True)


if __name__ == "__main__":
    sys.exit(main())
