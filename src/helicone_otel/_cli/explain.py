"""`helicone-otel explain FILE`: what each span of a file is, and which table said so."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from helicone_otel._explain.draw import draw
from helicone_otel._explain.read import read
from helicone_otel._explain.reasons import Reasons
from helicone_otel._explain.recorded import NotReadable
from helicone_otel._explain.replay import Replay
from helicone_otel._registry import Registry
from helicone_otel._settings import Settings, SettingsError

from .told import NOT_FOR_US


def explain(file: Path, *, as_json: bool) -> int:
    """Print what the spans of a file are; return 0, or 2 if the file or a setting cannot be used."""
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    try:
        registry = Registry(Settings.from_environment())
        recording = read(file)
    except SettingsError as error:
        print(f"helicone-otel explain: {error}", file=sys.stderr)
        return 2
    except NotReadable as error:
        print(f"helicone-otel explain: {file}: {error}", file=sys.stderr)
        return 2
    reasons = Reasons(registry.resolver.vocabulary)
    spans = [reasons.explain(replayed) for replayed in Replay(recording, registry).run()]
    if as_json:
        print(json.dumps([span.as_data() for span in spans], indent=1, default=str))
    else:
        ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        for line in draw(spans, ascii_only=ascii_only):
            print(line)
    return 0
