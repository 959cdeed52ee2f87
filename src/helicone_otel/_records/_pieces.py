"""Small pieces that all bodies are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Their zeros are something that is known.
NUMBERS: Final = frozenset({int, float, bool})


def known(told: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    """Return what is known of an object; some of it stands there even if it is empty."""
    return {name: value for name, value in told.items() if value or type(value) in NUMBERS or name in kept}


def data_url(value: Any) -> str:
    """Return where an image is, or what it is, as an address; empty if it is none."""
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("uri"), str) and value.get("modality") == "image":
        return str(value["uri"])
    if isinstance(inner := value.get("image"), dict) and isinstance(inner.get("url"), str):  # OpenInference's
        return str(inner["url"])
    held, mime_type = value.get("content"), value.get("mime_type")
    if value.get("type") == "blob" and isinstance(held, str) and str(mime_type).startswith("image/"):
        return f"data:{mime_type};base64,{held}"
    return ""
