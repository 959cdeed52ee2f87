"""What all doors need: the request with its headers and its body read as Helicone reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from . import bodies
from .headers import Said
from .rows import Row

# JavaScript's own word for what is not there; JSON has none.
UNDEFINED: Final = object()


class UncaughtError(Exception):
    """What Helicone does not expect: it answers 500."""


def parsed(body: bytes) -> Any:
    """Return a body as `JSON.parse` does, and `{}` if it is no JSON."""
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return {}
    except RecursionError as error:
        raise UncaughtError("the body is nested too deep") from error


def member(value: Any, name: str) -> Any:
    """Return what `value.name` is in JavaScript.

    Raises:
        UncaughtError: Nothing can be looked up in what is not there.
    """
    if value is None or value is UNDEFINED:
        raise UncaughtError(f"Cannot read properties of null or undefined (reading '{name}')")
    return value.get(name, UNDEFINED) if isinstance(value, Mapping) else UNDEFINED


def is_object(value: Any) -> bool:
    """Tell what `typeof value === "object"` does: true for `null` and arrays, too."""
    return value is None or isinstance(value, Mapping | list)


def is_number(value: Any) -> bool:
    """Tell what `typeof value === "number"` does."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def row_of(
    log: Mapping[str, Any],
    said: Said,
    *,
    provider: str,
    path: str,
    started: int,
    ended: int,
    organization: str,
    override: str = "",
    time_to_first_token: float | None = None,
) -> Row:
    """Return the row of a log that was accepted."""
    asked, answered = log["providerRequest"], log["providerResponse"]
    request = asked.get("json")
    text = answered.get("textBody")
    response = bodies.response_of(request, text if isinstance(text, str) else None, answered.get("json"))
    model = bodies.model_of(asked.get("url") or "", request, response, override)
    prompt, completion = bodies.tokens_of(provider, response)
    status = answered.get("status")
    return Row(
        id=said.request_id,
        door="log",
        provider=provider,
        model=model,
        status=int(status) if is_number(status) else 0,
        path=path,
        started=started,
        ended=ended,
        user_id=said.user_id,
        properties=said.properties,
        request={"model": model} if "request" in said.omits else request,
        response={"model": model} if "response" in said.omits else response,
        time_to_first_token=time_to_first_token,
        prompt_tokens=prompt,
        completion_tokens=completion,
        organization=organization,
    )


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float | None:
    # JavaScript reads 1e999 as Infinity, and writes that as null.
    value = float(text)
    return value if math.isfinite(value) else None
