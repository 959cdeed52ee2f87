"""Hides secrets in what the tools show: keys, passwords, headers that hold them, and folders of the machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from ..jsontext import SECRET_KEYS

_HIDDEN: Final = "***"
_MAX_TEXT: Final = 200_000
_MAX_DEPTH: Final = 64
# No name of a secret is longer.
_LONGEST: Final = 128
# Made once: each of these tests is done for millions of values of a long session.
_OBJECTS: Final = (dict, Mapping)
_LISTS: Final = (list, tuple)
_CONTAINERS: Final = (*_LISTS, *_OBJECTS)
_JSON_STARTS: Final = ("{", "[")
# Nothing of these types is hidden or changed.
_PLAIN: Final = frozenset({int, bool, type(None)})

# The last words of the names of secrets, with `_` for `-` as well: in headers, attributes, and keys of JSON.
_SECRET_NAMES: Final = (*sorted(SECRET_KEYS), "cookie", "set_cookie")
# Their values are hidden where a value has a name of its own. Within a text these are too often something else.
_AMBIGUOUS_NAMES: Final = ("credential", "credentials", "token")
# In names of environment variables, which anybody may choose, any part of the name is enough.
_VARIABLE_WORDS: Final = ("key", "token", "secret", "passw", "auth", "headers", "credential", "cookie")


def _any_of(names: tuple[str, ...]) -> str:
    return "|".join(name.replace("_", "[_-]") for name in names)


_NAMED: Final = re.compile(rf"(?i)(?:^|[._-])(?:{_any_of((*_SECRET_NAMES, *_AMBIGUOUS_NAMES))})\Z")
_HEADERS: Final = re.compile(r"(?:gen_ai|llm)\.(?:request\.)?headers\Z")
_VARIABLES: Final = re.compile(rf"(?i){'|'.join(_VARIABLE_WORDS)}")
# After `sk-`: our messages write so how a key looks.
_NO_KEY: Final = r"(?!helicone-(?:…|xxxxxxx(?:-xxxxxxx){0,3})(?![\w-]))"
# `user:password@` in a URL, keys of providers, bearer tokens, Helicone's keys in the paths of URLs. What repeats is
# possessive here and below: a text of any sender must not make a search take longer than the text is long.
_SECRETS: Final = re.compile(
    r"(?<=//)[^\s/@'\":]*+:[^\s/@'\"]++@"
    r"|(?<=//)[^\s/@'\":?#]{8,}+@"
    r"|(?i:[?&](?:api[_-]?)?key|[?&](?:access[_-]?)?token|[?&]sig(?:nature)?)=[^\s&#'\"]++"
    r"|\bAIza[\w-]{35,}+"
    r"|\bxox[a-z]-[\w-]{10,}+"
    rf"|\b[sp]k-{_NO_KEY}[\w-]{{8,}}+"
    r"|(?i:\bbearer\s++)[\w.~+/=-]{8,}+"
    r"|\bAKIA[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_\w{20,}+"
)
# A text with such a secret has one of these in lower case, or an address with a query. Nearly all texts have none, and
# to look for them takes a tenth of the time of the search.
_SIGNS: Final = ("//", "aiza", "xox", "sk-", "pk-", "bearer", "akia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_")
# The same for names of secrets. Without `s` and `i`, which the search also finds as letters with other lower cases.
_NAME_SIGNS: Final = ("auth", "key", "word", "ecret", "cook", "cred", "token")
# In a text that holds JSON, or a dictionary as Python prints it: the text after the name of a secret.
_PAIRS: Final = re.compile(
    rf"""(?i)(["'](?:[\w.-]*[._-])?(?:{_any_of(_SECRET_NAMES)})\\*+["']\s*+:\s*+(?:\[\s*+)?\\*+["'])[^"'\\]++"""
)
# Stricter forms for short texts of our own: `user:password@host` without a scheme, `token@host` in a URL, short keys.
_USER_INFO: Final = re.compile(r"(?<=//)[^\s/'\"]*@|[^\s/@'\"=,(:]+:(?!//)[^\s@'\"]*@(?=[\w.\[-])")
# A variable of the shell stands for a key, and is none: commands that we suggest have it.
_SHORT_KEYS: Final = re.compile(rf"\b[sp]k-{_NO_KEY}[\w-]{{4,}}|(?i:\bbearer\s+)(?!\$[A-Z_]+\b)\S+")
# Of texts up to this length, the latest are remembered.
_SHORT: Final = 64
# Shorter values (`true`, `none`) are parts of too many texts.
_MIN_SECRET: Final = 8
# Of a file only its name is shown: its folders identify a machine and its user.
_FOLDERS: Final = re.compile(r"(?<![/\\])(?:[A-Za-z]:)?(?:[/\\]++[^\s/\\:'\"<>|,]++)+[/\\]++(?=[^\s/\\])")
_FILES: Final = frozenset({"code.filepath", "code.file.path", "exception.stacktrace"})
# Attributes of a resource that are shown. Hosts, processes and their arguments are not.
_RESOURCES: Final = (
    "service.",
    "telemetry.",
    "deployment.",
    "gen_ai.",
    "helicone.",
    "cloud.region",
    "k8s.namespace.name",
)


def hide_secrets(text: str) -> str:
    """Return a text with `***` for each key, password and token in it."""
    return _hidden_in_short(text) if len(text) <= _SHORT else _hidden_in(text)


def _hidden_in(text: str) -> str:
    lower = text.lower()
    has_query = "=" in text and ("?" in text or "&" in text)
    hidden = _SECRETS.sub(_HIDDEN, text) if has_query or _has_any(_SIGNS, lower) else text
    has_pairs = ('"' in hidden or "'" in hidden) and _has_any(_NAME_SIGNS, lower)
    return _PAIRS.sub(rf"\1{_HIDDEN}", hidden) if has_pairs else hidden


# Names of models, roles and services are in every span and every body. What has a secret is remembered, too, in memory.
_hidden_in_short: Final = lru_cache(maxsize=4096)(_hidden_in)


def _has_any(signs: Sequence[str], text: str) -> bool:
    for sign in signs:  # noqa: SIM110  # `any` takes twice the time for the short texts that most are
        if sign in text:
            return True
    return False


def redact(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON without secrets, with long texts cut and without infinities and NaN.

    Args:
        value: Any value of JSON.
        depth: How deep the value is inside another one; below 64 levels `…` is returned.
    """
    if isinstance(value, str):
        return hide_secrets(_cut(value))
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has neither infinities nor NaN
    if type(value) in _PLAIN or not isinstance(value, _CONTAINERS):
        return value
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, _LISTS):
        return [redact(item, depth + 1) for item in value]
    return {
        str(key)[:1024]: _HIDDEN if _names_secret(str(key)[-_LONGEST:]) and _is_text(item) else redact(item, depth + 1)
        for key, item in value.items()
    }


def redact_json(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON in which each secret with a name is hidden, also in texts that hold JSON.

    Do this before parts of the value are joined to one text: in a text, many names of secrets are ambiguous.

    Args:
        value: Any value of JSON. Texts are not cut.
        depth: How deep the value is inside another one; below 64 levels it is returned as it is.
    """
    if depth > _MAX_DEPTH or type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return _redact_json_text(value, depth) if value.lstrip()[:1] in _JSON_STARTS else value
    if isinstance(value, _LISTS):
        return [redact_json(item, depth + 1) for item in value]
    if not isinstance(value, _OBJECTS):
        return value
    return {
        key: _HIDDEN if _names_secret(str(key)[-_LONGEST:]) and _is_text(item) else redact_json(item, depth + 1)
        for key, item in value.items()
    }


def _redact_json_text(text: str, depth: int) -> str:
    # A name of a secret may be written with escapes.
    if "\\u" not in text and not _has_any(_NAME_SIGNS, text.lower()):
        return text
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        return text
    hidden = redact_json(inside, depth + 1)
    return text if hidden == inside else json.dumps(hidden, ensure_ascii=False)


def redact_values(lists: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    """Return lists of values by name without secrets: where the name is that of one, each value is hidden."""
    return {name: [redact({name: value})[name] for value in values] for name, values in lists.items()}


def redact_attributes(attributes: Mapping[str, Any]) -> list[list[Any]]:
    """Return attributes as pairs sorted by name, without secrets and without folders."""
    return [[key, _attribute(key, attributes[key])] for key in sorted(attributes)]


def redact_resource(attributes: Mapping[str, Any]) -> list[list[Any]]:
    """Return the attributes of a resource that identify services, as `redact_attributes` does."""
    return redact_attributes({key: value for key, value in attributes.items() if key.startswith(_RESOURCES)})


class Redaction:
    """Hides the secrets of an environment in short texts, and all that looks like a secret.

    Args:
        environ: The variables. Those with names like `…KEY` or `…TOKEN` have secret values.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = (value for name, value in environ.items() if _VARIABLES.search(name))
        parts = {part.strip() for value in values for part in (value, *re.split(r"[=,;\s]+", value))}
        # The longest first: one may be part of another.
        self._values = sorted((part for part in parts if len(part) >= _MIN_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        # The strict form of a key comes last, because it ends only at a blank.
        return _SHORT_KEYS.sub(_HIDDEN, hide_secrets(_USER_INFO.sub(f"{_HIDDEN}@", text)))


def _attribute(key: str, value: Any) -> Any:
    if _is_hidden_attribute(key[-_LONGEST:]):
        return _HIDDEN
    safe = redact(value)
    return _FOLDERS.sub("…/", safe) if key in _FILES and isinstance(safe, str) else safe


def _is_text(value: Any) -> bool:
    """Tell whether a value is a text, or texts. Numbers are shown: `token` may be a count."""
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in texts)


# Of the last characters of a key. The same keys occur in every span and every body.
@lru_cache(maxsize=4096)
def _names_secret(key: str) -> bool:
    return bool(_NAMED.search(key))


@lru_cache(maxsize=4096)
def _is_hidden_attribute(key: str) -> bool:
    return bool(_NAMED.search(key) or _HEADERS.match(key))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"
