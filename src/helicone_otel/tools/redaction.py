"""Takes out of what is shown: keys, the values of headers that hold them, and folders of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SECRET_NAMES: Final = re.compile(
    r"(?i)(?:^|[._-])(?:authorization|helicone-auth|cookie|set-cookie|api[_-]?key|secret|password|credentials?|token)\Z"
)
# `user:password@` in a URL, keys of providers, bearer tokens, Helicone's keys in the paths of URLs. What repeats is
# possessive here and below: strangers' texts must not make a search take longer than they are long.
_SECRETS: Final = re.compile(
    r"(?<=//)[^\s/@'\":]*+:[^\s/@'\"]++@"
    r"|\b[sp]k-[\w-]{8,}+"
    r"|(?i:\bbearer\s++)[\w.~+/=-]{8,}+"
    r"|\bAKIA[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_\w{20,}+"
)
# In a text that holds JSON, or a dictionary as Python prints it: what stands beside the name of a secret.
_PAIRS: Final = re.compile(
    r"""(?i)(["'](?:[\w.-]*[._-])?(?:authorization|helicone-auth|cookie|set-cookie|api[_-]?key|secret|password)"""
    r"""\\*+["']\s*+:\s*+(?:\[\s*+)?\\*+["'])[^"'\\]++"""
)
_HEADERS: Final = re.compile(r"(?:gen_ai|llm)\.(?:request\.)?headers\Z")
# Of a file only its name is shown: where it lies tells of a machine.
_FOLDERS: Final = re.compile(r"(?<![/\\])(?:[A-Za-z]:)?(?:[/\\]++[^\s/\\:'\"<>|,]++)+[/\\]++(?=[^\s/\\])")
_FILES: Final = frozenset({"code.filepath", "code.file.path", "exception.stacktrace"})
# Of what made a span, its services are shown; hosts, processes and their arguments are not.
_RESOURCES: Final = (
    "service.",
    "telemetry.",
    "deployment.",
    "gen_ai.",
    "helicone.",
    "cloud.region",
    "k8s.namespace.name",
)
_HIDDEN: Final = "***"
MAX_TEXT: Final = 200_000
_MAX_DEPTH: Final = 64


def shown_attributes(attributes: Mapping[str, Any]) -> list[list[Any]]:
    """Return attributes as pairs, by name, without what must not be shown."""
    return [[key, _of(key, attributes[key])] for key in sorted(attributes)]


def shown_resource(attributes: Mapping[str, Any]) -> list[list[Any]]:
    """Return what may be shown of what made a span."""
    return shown_attributes({key: value for key, value in attributes.items() if key.startswith(_RESOURCES)})


def _of(key: str, value: Any) -> Any:
    if _SECRET_NAMES.search(key) or _HEADERS.match(key):
        return _HIDDEN
    shown_value = shown(value)
    return _FOLDERS.sub("…/", shown_value) if key in _FILES and isinstance(shown_value, str) else shown_value


def shown(value: Any, depth: int = 0) -> Any:
    """Return any JSON without keys, with long texts cut."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has neither infinities nor NaN
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            shown_key: _HIDDEN if _is_secret(str(key), item) else shown(item, depth + 1)
            for key, item in value.items()
            for shown_key in (str(key)[:1024],)
        }
    if isinstance(value, list | tuple):
        return [shown(item, depth + 1) for item in value]
    return value


def _is_secret(key: str, value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(_SECRET_NAMES.search(key)) and all(isinstance(text, str) for text in texts)


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text)} characters)"
    return _PAIRS.sub(rf"\1{_HIDDEN}", _SECRETS.sub(_HIDDEN, text))


_REDACT_SECRET_NAMES: Final = re.compile(r"(?i)key|token|secret|passw|auth|headers|credential|cookie")
# Shorter values (`true`, `none`) stand in too many texts by chance.
_MIN_SECRET: Final = 8
# `user:password@host`, in a URL or without its scheme.
_USER_INFO: Final = re.compile(r"(?<=//)[^\s/'\"]*@|[^\s/@'\"=,(:]+:(?!//)[^\s@'\"]*@(?=[\w.\[-])")
_TOKENS: Final = re.compile(r"\b[sp]k-[\w-]{4,}|(?i:\bbearer\s+)\S+")
_REDACT_HIDDEN: Final = "***"


class Redaction:
    """Knows the secrets of an environment, to keep them out of what is shown.

    Args:
        environ: The variables; those whose names tell of secrets have secret values.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = (value for name, value in environ.items() if _REDACT_SECRET_NAMES.search(name))
        parts = {part.strip() for value in values for part in (value, *re.split(r"[=,;\s]+", value))}
        # The longest first: one may be part of another.
        self._secrets = sorted((part for part in parts if len(part) >= _MIN_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without what must not be shown."""
        for secret in self._secrets:
            text = text.replace(secret, _REDACT_HIDDEN)
        return _TOKENS.sub(_REDACT_HIDDEN, _USER_INFO.sub(f"{_REDACT_HIDDEN}@", text))
