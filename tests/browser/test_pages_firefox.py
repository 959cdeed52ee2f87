"""The pages in Firefox, driven by WebDriver BiDi: Playwright needs a Firefox of its own, which no package brings.

https://w3c.github.io/webdriver-bidi/
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import pytest

if TYPE_CHECKING:
    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

SECONDS = 60
MISSING = "there is no Firefox: apt-get install firefox-esr, or name one in FIREFOX"
# What is there on each page when it works, and how many of it at least.
PAGES = [
    ("/", {"name": "reviewer"}, "#sessions .tabulator-row", 13),
    ("/", {"search": '"about file 5"', "kind": "tool"}, "main:has(#filter-panel .chip) #sessions .tabulator-row", 1),
    ("/session", {"id": "review/3", "name": "reviewer"}, "#tree [role=treeitem]", 10),
    ("/session", {"id": "review/3", "name": "reviewer", "errors": "1"}, "#tree [role=treeitem]", 3),
    ("/session", {"id": "review/3", "name": "reviewer", "as": "table"}, "#requests-table .tabulator-row", 10),
    ("/compare", {"name": "reviewer"}, "#paths .tabulator-row", 5),
]


def executable() -> str | None:
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One tab of a Firefox.

    Attributes:
        problems: What the pages logged as errors.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.problems: list[str] = []
        self.tab = ""

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer = json.loads((await self._socket.receive(SECONDS)).data)
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.problems.append(answer["params"]["text"])
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        found = await self.call(
            "script.evaluate", expression=expression, target={"context": self.tab}, awaitPromise=True
        )
        return found["result"].get("value")

    async def wait_for(self, expression: str) -> Any:
        for _ in range(SECONDS * 5):
            if value := await self.evaluate(expression):
                return value
            await asyncio.sleep(0.2)
        raise AssertionError(f"never true: {expression}")


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Firefox]:
    program = executable()
    if program is None:
        pytest.skip(MISSING)
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        assert process.stderr is not None
        try:
            address = await asyncio.wait_for(asyncio.to_thread(_address, process.stderr), SECONDS)
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(f"{address}/session", max_msg_size=0) as socket,
            ):
                one = Firefox(socket)
                await one.call("session.new", capabilities={})
                await one.call("session.subscribe", events=["log.entryAdded"])
                one.tab = (await one.call("browsingContext.create", type="tab"))["context"]
                await one.call("browsingContext.setViewport", context=one.tab, viewport={"width": 1280, "height": 900})
                yield one
        finally:
            process.kill()


def _address(lines: Any) -> str:
    for line in lines:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError("Firefox ended")


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in a thread of its own: Playwright's event loop runs in this one as soon as it drives a browser."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, test).result()


def test_every_page_works_in_firefox(seeded: View, tmp_path: Path) -> None:
    run(_every_page_works(seeded, tmp_path))


async def _every_page_works(seeded: View, profile: Path) -> None:
    async with firefox(profile) as one:
        for page, parameters, selector, least in PAGES:
            await one.open(f"{seeded.url}{page}?{urlencode(parameters)}")
            await one.wait_for(f"document.querySelectorAll({json.dumps(selector)}).length >= {least}")
            assert await one.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await one.evaluate("document.getElementById('zone').textContent.startsWith('Times in ')")
        assert one.problems == []


def test_a_request_opens_by_keys_in_firefox(seeded: View, tmp_path: Path) -> None:
    run(_a_request_opens_by_keys(seeded, tmp_path))


async def _a_request_opens_by_keys(seeded: View, profile: Path) -> None:
    async with firefox(profile) as one:
        await one.open(f"{seeded.url}/session?{urlencode({'id': 'review/3', 'name': 'reviewer'})}")
        await one.wait_for("document.querySelectorAll('#tree [role=treeitem]').length >= 10")
        keys = [{"type": kind, "value": "f"} for kind in ("keyDown", "keyUp")]
        await one.call("input.performActions", context=one.tab, actions=[{"type": "key", "id": "k", "actions": keys}])
        await one.wait_for("document.querySelector('#drawer .failure')?.textContent === 'TimeoutError'")
        assert one.problems == []
