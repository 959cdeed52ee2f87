"""Reading a request: Markdown, JSON that folds, calls with their results, pictures, copies, raw bodies, differences."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import opened
from tests.browser.demo_view import ask
from tests.browser.window import BrowserWindow
from tests.support.view_seed import request_of, send, span
from tests.support.viewing import posted_row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ANSWER = """# Plan

Go to **Oslo**, see [the city](https://visitoslo.example/a?b=c).

```python
def answer():
    return 42
```

| day | place |
|-----|-------|
| 1   | Oslo  |
"""
HOSTILE = """# **x** <script>window.hacked=1</script>

<svg onload=window.hacked=1></svg> <img src=x onerror="window.hacked=1">

[run](javascript:window.hacked=1) [data](data:text/html,<script>window.hacked=1</script>) [vb](vbscript:x)
[file](file:///etc/passwd) [blob](blob:x) <javascript:window.hacked=1> [ok](https://ok.example/"onclick="window.hacked=1)

![s](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9IndpbmRvdy5oYWNrZWQ9MSIvPg==) ![far](https://far.example/x.png)
![near](data:image/png;base64,AAAA" onerror="window.hacked=1)

```html
</pre><script>window.hacked=1</script>
```

turned \u202e **gnp.exe\u2066** and \udcff
"""


def call(number: int) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": json.dumps({"city": "Oslo", "day": number})}
    return {"id": f"c{number}", "type": "function", "function": function}


TALKS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "markdown": ([{"role": "user", "content": "Plan *one* day."}], ANSWER),
    "hostile": ([{"role": "user", "content": HOSTILE}], HOSTILE),
    "calls": (
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call(1), call(2)]},
            {"role": "tool", "tool_call_id": "c2", "content": "rain"},
            {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"sky": "clear"})},
        ],
        "Clear.",
    ),
    "pictures": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "image_url", "image_url": {"url": "https://far.example/x.png"}},
                    {"type": "image_url", "image_url": {"url": "javascript:window.hacked=1"}},
                ],
            }
        ],
        "A dot.",
    ),
    "long": ([{"role": "user", "content": "word " * 2000}], "Yes."),
    "large": (
        [{"role": "user", "content": json.dumps({"rows": [{"n": n, "text": "x" * 40} for n in range(100_000)]})}],
        "Many.",
    ),
}


def row(what: str, answer: str, messages: list[dict[str, Any]], path: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    asked = {"model": "gpt-4o-mini", "temperature": 0.2, "messages": messages}
    made = posted_row("reading", path, "talks", asked_for=asked, answered={"model": "gpt-4o-mini", "choices": [choice]})
    made["providerRequest"]["url"] = "https://api.openai.com/v1/chat/completions"
    made["providerRequest"]["meta"]["Helicone-Property-What"] = what
    return made


def post(view: View, made: dict[str, Any]) -> str:
    """Post a row, and return the id of its request."""
    known = {one["id"] for one in listed(view)}
    body = json.dumps(made).encode()
    request = urllib.request.Request(f"{view.http_url}/oai/v1/log", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    return next(one["id"] for one in listed(view) if one["id"] not in known)


def listed(view: View) -> list[Any]:
    if not ask(view.url, "sessions")["sessions"]:
        return []
    return ask(view.url, "session", id="reading", name="talks")["requests"]


@pytest.fixture(scope="module")
def talks() -> Iterator[tuple[View, dict[str, str]]]:
    with opened() as view:
        ids = {what: post(view, row(what, answer, talk, f"/{what}")) for what, (talk, answer) in TALKS.items()}
        ids["other"] = post(view, row("other", "Clear.\nAnd cold.", TALKS["calls"][0], "/calls"))
        yield view, ids


@pytest.fixture
def reading(talks: tuple[View, dict[str, str]], browser: Browser) -> Iterator[Any]:
    view, ids = talks
    with BrowserWindow.at(browser, permissions=["clipboard-read", "clipboard-write"]) as window:

        def opened_at(what: str) -> BrowserWindow:
            window.session(view.url, "reading", "talks", request=ids[what])
            expect(window.drawer).to_contain_text("Conversation")
            return window

        yield opened_at


def copied(window: BrowserWindow, button: Locator) -> str:
    button.click()
    expect(button).to_have_attribute("data-label", "Copied")
    return window.page.evaluate("navigator.clipboard.readText()")


def test_an_answer_is_shown_as_markdown_with_coloured_code(reading: Any) -> None:
    window = reading("markdown")
    answer = window.drawer.locator("article.message.output")
    expect(answer.locator(".markdown .h1")).to_have_text("Plan")
    expect(answer.locator(".markdown strong")).to_have_text("Oslo")
    expect(answer.locator(".markdown pre .hl-k").first).to_have_text("def")
    expect(answer.locator(".markdown td")).to_have_text(["1", "Oslo"])
    link = answer.get_by_role("link", name="the city")
    assert (link.get_attribute("href"), link.get_attribute("rel")) == (
        "https://visitoslo.example/a?b=c",
        "noopener noreferrer",
    )
    expect(answer).to_contain_text("the city (visitoslo.example)")
    answer.get_by_role("button", name="as it was written").click()
    expect(answer.locator(".prose")).to_have_text(ANSWER)
    answer.get_by_role("button", name="as it was written").click()
    expect(answer.locator(".markdown .h1")).to_have_text("Plan")
    assert copied(window, answer.get_by_role("button", name="Copy the message")) == ANSWER


def test_hostile_markdown_runs_nothing_and_loads_nothing(reading: Any) -> None:
    window = reading("hostile")
    window.drawer.get_by_text("Raw", exact=True).click()
    for name in ("Response", "Request"):
        window.drawer.locator(".raw").get_by_role("button", name=name, exact=True).click()
    assert harmless(window) == ["https://ok.example/%22onclick=%22window.hacked=1", "https://far.example/x.png"]


def harmless(window: BrowserWindow) -> list[str]:
    """Check that no script ran and no markup was made; return the addresses of the answer's links."""
    page = window.page
    assert page.evaluate("window.hacked") is None
    assert window.drawer.locator("img, svg, iframe, [onerror], [onload], [onclick]").count() == 0
    assert [one for one in "\u202e\u2066" if one in window.drawer.inner_text()] == []
    links = window.drawer.locator(".message.output a").evaluate_all("links => links.map(link => link.href)")
    window.check()
    return links


def test_calls_of_tools_have_their_results_beside_them(reading: Any) -> None:
    window = reading("calls")
    expect(window.drawer.locator("article.message > header")).to_have_text(
        ["User", "Assistant", "Assistantended: stop"]
    )
    pairs = [" ".join(pair.inner_text().split()) for pair in window.drawer.locator(".call-pair").all()]
    assert pairs == [
        'calls get_weather c1 { "city": "Oslo", "day": 1 } result { "sky": "clear" }',
        'calls get_weather c2 { "city": "Oslo", "day": 2 } result rain',
    ]
    button = window.drawer.locator(".call-pair").first.get_by_role("button", name="Copy as JSON").first
    assert json.loads(copied(window, button)) == {"city": "Oslo", "day": 1}


def after_an_answer() -> list[dict[str, Any]]:
    """Return an answer that calls three tools, and what follows: a step of the first tool, and two more calls."""
    agent = {"helicone.session.id": "later", "helicone.session.name": "later", "helicone.session.path": "/agent"}
    chat = {**agent, "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "openai"}
    step = {**agent, "helicone.session.path": "/agent/sky", "gen_ai.operation.name": "execute_tool"}
    tool = {**step, "gen_ai.tool.name": "sky", "gen_ai.tool.call.id": "a1", "gen_ai.tool.call.result": "clear"}
    calls = [{"type": "tool_call", "id": f"a{n}", "name": "sky", "arguments": {"day": n}} for n in (1, 2, 3)]

    def told(call: str, *results: str) -> str:
        said = [{"type": "tool_call_response", "id": call, "response": result} for result in results]
        return json.dumps([{"role": "tool", "parts": said}])

    answer = json.dumps([{"role": "assistant", "parts": calls}])
    return [
        span(800, 1, attributes={**chat, "gen_ai.output.messages": answer}),
        span(800, 2, start=10, name="execute_tool sky", attributes=tool),
        # The history has a result of an earlier call with the same id.
        span(800, 3, start=20, attributes={**chat, "gen_ai.input.messages": told("a2", "fog", "rain")}),
        # Of another answer, which has the same id for its call.
        span(800, 4, start=30, attributes={**chat, "gen_ai.input.messages": told("a3", "snow")}),
    ]


@pytest.mark.parametrize("exported", [False, True])
def test_calls_of_an_answer_have_the_results_of_later_requests_beside_them(
    running: View, browser: Browser, tmp_path: Path, exported: bool
) -> None:
    send(running, request_of("shop", after_an_answer()))
    shown = ask(running.url, "session", id="later", name="later")["requests"]
    assert [one["path"] for one in shown] == ["/agent", "/agent/sky", "/agent", "/agent"]
    with BrowserWindow.at(browser, offline=exported) as window:
        if exported:
            file = tmp_path / "session.html"
            with urllib.request.urlopen(f"{running.url}/api/export?id=later&name=later", timeout=60) as answer:
                file.write_bytes(answer.read())
            window.page.goto(f"{file.as_uri()}#{urlencode({'request': shown[0]['id']})}")
        else:
            window.session(running.url, "later", "later", request=shown[0]["id"])
        pairs = window.drawer.locator(".call-pair")
        ends = (r"a1.*clear$", r"a2.*rain$", r"a3.*\}$")
        expect(pairs).to_have_text([re.compile(end, re.DOTALL) for end in ends])


def test_pictures_in_messages_are_shown_and_those_elsewhere_are_links(reading: Any) -> None:
    window = reading("pictures")
    picture = window.drawer.locator("img.picture")
    expect(picture).to_have_count(1)
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") == 1
    expect(window.drawer.get_by_role("link", name="far.example")).to_have_attribute("href", "https://far.example/x.png")
    assert window.page.evaluate("window.hacked") is None


def test_a_long_text_is_folded_until_a_button_opens_it(reading: Any) -> None:
    window = reading("long")
    user = window.drawer.locator("article.message").first
    expect(user.locator(".clipped")).to_have_count(1)
    button = user.locator("[aria-expanded]")
    expect(button).to_have_text("Show all 10,000 characters")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    window.page.keyboard.press("Enter")
    expect(user.locator(".clipped")).to_have_count(0)
    expect(button).to_have_attribute("aria-expanded", "true")


def test_ten_megabytes_of_json_in_one_message_open_as_folded_lists(reading: Any) -> None:
    window = reading("large")
    user = window.drawer.locator("article.message").first
    rows = user.locator("details.fold > summary", has_text="rows")
    expect(rows).to_contain_text("100,000")
    expect(user.locator("details.fold")).to_have_count(12)
    user.get_by_text("90,000 … 99,999").click()
    user.get_by_text("99,900 … 99,999").click()
    user.locator("details.fold > summary", has_text="99999: ").click()
    expect(user).to_contain_text('"n": 99999')
    assert user.locator("*").count() < 2_000


def test_raw_bodies_and_the_span_can_be_seen_and_copied(reading: Any) -> None:
    window = reading("calls")
    window.drawer.get_by_text("Raw", exact=True).click()
    raw = window.drawer.locator(".raw")
    expect(raw.get_by_role("button", name="Request", exact=True)).to_have_attribute("aria-pressed", "true")
    request = json.loads(copied(window, raw.get_by_role("button", name="Copy the request as JSON")))
    assert request == {"model": "gpt-4o-mini", "temperature": 0.2, "messages": TALKS["calls"][0]}
    command = copied(window, raw.get_by_role("button", name="curl"))
    assert command.splitlines()[:3] == [
        "curl 'https://api.openai.com/v1/chat/completions' \\",
        '  -H "Authorization: Bearer $OPENAI_API_KEY" \\',
        "  -H 'Content-Type: application/json' \\",
    ]
    assert json.loads(command.partition("--data-raw '")[2].removesuffix("'")) == request
    raw.get_by_role("button", name="Response", exact=True).click()
    response = json.loads(copied(window, raw.get_by_role("button", name="Copy the response as JSON")))
    assert response["choices"][0]["message"]["content"] == "Clear."


def test_the_raw_span_has_the_names_of_otlp(seeded: View, window: BrowserWindow) -> None:
    requests = ask(seeded.url, "session", id="review/1", name="reviewer")["requests"]
    chat = next(one for one in requests if one["kind"] == "llm")
    window.session(seeded.url, "review/1", "reviewer", request=chat["id"])
    window.drawer.get_by_text("Raw", exact=True).click()
    window.drawer.locator(".raw").get_by_role("button", name="Span", exact=True).click()
    expect(window.drawer.locator(".raw")).to_contain_text('"traceId": "00000000000000000000000000000001"')
    expect(window.drawer.locator(".raw")).to_contain_text('"parentSpanId": "0000000000100001"')


@pytest.mark.parametrize(
    "url", ["https://evil.test/#.openai.com/v1", "https://evil.test?.openai.com", "http://api.openai.com/v1"]
)
def test_a_curl_command_names_no_key_of_a_provider_for_another_host(reading: Any, url: str) -> None:
    window = reading("hostile")
    call = "({url: " + repr(url) + ", request: {}})"
    command = window.page.evaluate(f"import('/static/raw.js').then((raw) => raw.curl{call})")
    assert "OPENAI_API_KEY" not in command


def test_a_curl_command_is_safe_in_a_shell(reading: Any, tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415

    window = reading("hostile")
    text = "'; touch hacked; echo '$(touch hacked)`touch hacked`\\' \u202e\x1b[2J\n\udcff"
    call = f"({{url: 'https://x.example/a?b=\\'c', request: {{text: {json.dumps(text)}}}}})"
    command = window.page.evaluate(f"import('/static/raw.js').then((raw) => raw.curl{call})")
    assert command.isprintable() or set(command) - {"\n"} == {one for one in command if one.isprintable()}
    (tmp_path / "curl").write_text('#!/bin/sh\nfor last; do :; done\nprintf %s "$last"\n')
    (tmp_path / "curl").chmod(0o700)
    run = subprocess.run(
        ["sh", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(run.stdout) == {"text": text}
    assert [one.name for one in tmp_path.iterdir()] == ["curl"]


def test_two_requests_at_a_path_can_be_compared(reading: Any) -> None:
    window = reading("other")
    window.drawer.get_by_text("Differences", exact=True).click()
    window.drawer.get_by_label("Compare with").select_option(index=1)
    response = window.drawer.locator(".differences section", has_text="Response")
    expect(response.locator(".out")).to_have_count(1)
    (out,) = response.locator(".out").all_inner_texts()
    assert out.rstrip() == '\N{MINUS SIGN}     "content": "Clear."'
    assert [line.strip() for line in response.locator(".in").all_inner_texts()] == [
        '+     "content": "Clear.',
        '+ And cold."',
    ]
    expect(window.drawer.locator(".differences section", has_text="Request")).to_contain_text("the same")


def test_an_exported_file_keeps_markdown_raw_bodies_and_differences(
    talks: tuple[View, dict[str, str]], browser: Browser, tmp_path: Path
) -> None:
    view, ids = talks
    address = f"{view.url}/api/export?{urlencode({'id': 'reading', 'name': 'talks'})}"
    file = tmp_path / "session.html"
    with urllib.request.urlopen(address, timeout=60) as answer:
        file.write_bytes(answer.read())
    with BrowserWindow.at(browser, offline=True) as window:
        window.page.goto(f"{file.as_uri()}#{urlencode({'request': ids['hostile']})}")
        expect(window.drawer.locator(".markdown .h1").first).to_contain_text("<script>")
        harmless(window)
        window.page.goto("about:blank")
        window.page.goto(f"{file.as_uri()}#{urlencode({'request': ids['other']})}")
        window.drawer.get_by_text("Differences", exact=True).click()
        window.drawer.get_by_label("Compare with").select_option(index=1)
        expect(window.drawer.locator(".differences .in")).to_have_count(2)
        window.drawer.get_by_text("Raw", exact=True).click()
        expect(window.drawer.locator(".raw")).to_contain_text('"temperature": 0.2')
