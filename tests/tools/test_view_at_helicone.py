"""The link from a request to its page on Helicone: only where a row is known to exist there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.view_seed import span
from tests.support.viewing import ViewClient, posted_row

ROW, OTHER = "0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44", "77aa4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"
US = f"https://us.helicone.ai/requests?requestId={ROW}"
EU = f"https://eu.helicone.ai/requests?requestId={ROW}"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
ANSWERED = {"http.response.header.helicone-id": [ROW], "http.response.status_code": 200}
SENT = {"http.request.header.helicone-request-id": [ROW]}
LABELLED = {"helicone.session.id": "c", "helicone.session.path": "/chat", "helicone.span.kind": "llm"}


def page_of(view: ViewClient, carried: dict[str, Any], **attributes: Any) -> str | None:
    """Return the link of an LLM call that one HTTP request carried."""
    http = span(1, 2, 1, name="POST", kind="CLIENT", scope="opentelemetry.instrumentation.httpx", attributes=carried)
    view.take(span(1, 1, attributes={**CHAT, **attributes}, length=20), http)
    (one,) = view.session("c")["requests"]
    link: str | None = view.request(one["id"])["helicone_url"]
    return link


@pytest.mark.parametrize(
    ("carried", "link"),
    [
        ({"url.full": "https://oai.helicone.ai/v1/chat", **ANSWERED}, US),
        ({"http.url": "https://oai.hconeai.com/v1/chat", **SENT, "http.status_code": 200}, US),
        ({"server.address": "oai.eu.helicone.ai", **ANSWERED}, EU),
        # Nothing was answered, so that no gateway is known to have seen it.
        ({"url.full": "https://oai.helicone.ai/v1/chat", **SENT, "error.type": "ConnectError"}, None),
        # The id of the row is not known.
        ({"url.full": "https://oai.helicone.ai/v1/chat", "http.response.status_code": 200}, None),
        ({"url.full": "https://oai.helicone.ai/v1", **ANSWERED, "http.response.header.helicone-id": ["../x"]}, None),
        # A provider's own host, a gateway of the user's own, Helicone's log, and texts that are no addresses.
        ({"url.full": "https://api.openai.com/v1/chat", **ANSWERED}, None),
        ({"url.full": "http://127.0.0.1:8787/v1/chat", **ANSWERED}, None),
        ({"url.full": "https://api.worker.helicone.ai/custom/v1/log", **ANSWERED}, None),
        ({"url.full": "https://[oai.helicone.ai", **ANSWERED}, None),
        ({"url.full": "https://oai.helicone.ai.example.com/v1", **ANSWERED}, None),
    ],
)
def test_a_request_has_a_link_if_a_gateway_of_helicone_answered_it(
    view: ViewClient, carried: dict[str, Any], link: str | None
) -> None:
    assert page_of(view, carried) == link


def test_the_id_that_the_library_read_from_the_answer_is_enough(view: ViewClient) -> None:
    carried = {"url.full": "https://oai.helicone.ai/v1/chat", "http.response.status_code": 200}

    assert page_of(view, carried, **LABELLED, **{"helicone.request.id": ROW}) == US


def test_without_a_span_of_the_http_request_the_host_of_the_call_decides(view: ViewClient) -> None:
    for number, host in enumerate(("oai.helicone.ai", "api.openai.com"), 1):
        label = {**LABELLED, "helicone.session.id": host, "helicone.request.id": f"{number}{ROW[1:]}"}
        view.take(span(number, 1, attributes={**CHAT, **label, "server.address": host}))

    assert view.request(f"1{ROW[1:]}")["helicone_url"] == US.replace(ROW, f"1{ROW[1:]}")
    assert view.request(f"2{ROW[1:]}")["helicone_url"] is None


def test_each_attempt_has_the_link_of_its_own_row(view: ViewClient) -> None:
    def attempt(number: int, status: int, row: str) -> dict[str, Any]:
        carried = {
            "url.full": "https://oai.helicone.ai/v1/chat",
            "http.response.status_code": status,
            "http.response.header.helicone-id": [row],
        }
        return span(1, number, 1, name="POST", kind="CLIENT", attributes=carried, start=number * 5, scope="httpx")

    view.take(span(1, 1, attributes=CHAT, length=40), attempt(2, 429, OTHER), attempt(3, 200, ROW))

    links = [view.request(one["id"])["helicone_url"] for one in view.session("c")["requests"]]
    assert links == [US.replace(ROW, OTHER), US]


def test_a_row_that_was_posted_to_the_view_is_not_at_helicone(view: ViewClient) -> None:
    view.log(posted_row("c", "/x", "shop", request_id=ROW))

    assert view.request(ROW)["helicone_url"] is None
