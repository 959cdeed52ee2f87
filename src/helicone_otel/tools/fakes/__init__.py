"""What stands behind the fixture of `helicone_otel.testing`, imported when a test asks for it."""

from __future__ import annotations
