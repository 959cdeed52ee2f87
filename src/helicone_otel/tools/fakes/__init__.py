"""A fake Helicone on loopback and the pytest fixture around it. Imported only when a test or a tool needs them."""

from __future__ import annotations
