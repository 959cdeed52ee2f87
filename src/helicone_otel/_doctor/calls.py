"""How the probe calls: through the SDKs that it knows, else by a plain request of the client that an SDK uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

KEY: Final = "sk-doctor"
_MODEL: Final = "doctor"
_MESSAGES: Final[Any] = [{"role": "user", "content": "Would my headers leave?"}]
_PATH: Final = "/v1/chat/completions"
_BODY: Final[Any] = {"model": _MODEL, "messages": _MESSAGES}
_TIMEOUT: Final = 5.0

Caller = Callable[[str, Mapping[str, str]], None]


def _openai(url: str, headers: Mapping[str, str]) -> None:
    from openai import OpenAI  # noqa: PLC0415

    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=_TIMEOUT) as client:
        client.chat.completions.create(model=_MODEL, messages=_MESSAGES, extra_headers=headers)


def _anthropic(url: str, headers: Mapping[str, str]) -> None:
    from anthropic import Anthropic  # noqa: PLC0415

    with Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=_TIMEOUT) as client:
        client.messages.create(model=_MODEL, max_tokens=16, messages=_MESSAGES, extra_headers=headers)


def _httpx(url: str, headers: Mapping[str, str]) -> None:
    import httpx  # noqa: PLC0415

    httpx.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _httpx2(url: str, headers: Mapping[str, str]) -> None:
    import httpx2  # noqa: PLC0415

    httpx2.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _requests(url: str, headers: Mapping[str, str]) -> None:
    import requests  # noqa: PLC0415

    requests.post(url + _PATH, json=_BODY, headers=headers, timeout=_TIMEOUT)


def _aiohttp(url: str, headers: Mapping[str, str]) -> None:
    import aiohttp  # noqa: PLC0415

    async def post() -> None:
        timeout = aiohttp.ClientTimeout(_TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.post(url + _PATH, json=_BODY, headers=headers),
        ):
            pass

    asyncio.run(post())


# By distribution; an SDK that is not listed is stood in for by its client.
SDK_CALLERS: Final[Mapping[str, Caller]] = {"openai": _openai, "anthropic": _anthropic}
CLIENT_CALLERS: Final[Mapping[str, Caller]] = {
    "httpx": _httpx,
    "httpx2": _httpx2,
    "requests": _requests,
    "aiohttp": _aiohttp,
}
