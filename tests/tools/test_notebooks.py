"""Sessions draw themselves in notebooks, with a tree if spans are kept."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from opentelemetry.sdk.trace import TracerProvider

from helicone_otel import Session, Settings, configure, current_session, notebooks, session, step
from helicone_otel.notebooks import keep_spans
from helicone_otel.sessions.model import SessionPath

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
SEARCH = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    """Yield a provider of an app in which the library is installed, with an empty store that gets its spans."""
    before, notebooks._STORE = notebooks._STORE, notebooks._SpanStore()
    own = TracerProvider(shutdown_on_exit=False)
    installation = configure(Settings(), provider=own)
    yield own
    installation.uninstall()
    own.shutdown()
    notebooks._STORE = before


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.open.append(tag)
        assert {name for name, _ in attrs} <= {"class", "style", "href", "target", "rel", "colspan"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def texts(drawn: str | None) -> list[str]:
    """Return the texts of a drawing, whose elements must be closed and have no attributes but harmless ones."""
    parser = _Texts()
    parser.feed(drawn or "")
    parser.close()
    assert parser.open == []
    return [text for text in parser.texts if text.strip()]


def work(provider: TracerProvider) -> None:
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("chat", attributes=CHAT):
        pass


def test_a_session_has_its_id_its_path_and_a_link_to_the_view() -> None:
    drawn = Session("trip 42", "Trip & Planning", SessionPath("/plan"))._repr_html_()

    assert texts(drawn) == ["Trip & Planning", "trip 42", "path ", "/plan", " · ", "open in the view"]
    assert 'href="http://127.0.0.1:4316/session?id=trip+42&amp;name=Trip+%26+Planning"' in str(drawn)


def test_text_of_anybody_stays_text() -> None:
    drawn = Session("<script>", '"><img src=x onerror=alert(1)>')._repr_html_()

    assert texts(drawn)[:2] == ['"><img src=x onerror=alert(1)>', "<script>"]


def test_the_tree_is_drawn_of_the_spans_that_are_kept(provider: TracerProvider) -> None:
    keep_spans(view="http://view.test/")
    keep_spans(view="http://view.test/")
    with session("Trip", id="trip-1") as trip, step("plan"):
        work(provider)
        work(provider)
        drawn_inside = current_session()
        with provider.get_tracer("app").start_as_current_span("execute_tool search", attributes=SEARCH):
            pass
    with session("Trip", id="trip-2") as other:
        pass

    shown = texts(trip._repr_html_())
    table = [text for text in shown[6:] if not re.fullmatch(r"[0-9.]+ (ms|s)", text)]
    assert table == ["plan", "llm", "m", "llm", "m", "search", "tool"]
    assert len([text for text in shown if re.fullmatch(r"[0-9.]+ (ms|s)", text)]) == 4
    assert drawn_inside is not None
    assert 'href="http://view.test/session?id=trip-1&amp;name=Trip"' in str(drawn_inside._repr_html_())
    assert "<table" not in str(other._repr_html_())


def test_the_store_is_bounded_in_bytes_and_forgets_the_oldest(provider: TracerProvider) -> None:
    keep_spans()
    names = [f"trip-{number}" for number in range(20)]
    for name in names:
        with session("Trip", id=name):
            work(provider)
    [size] = {notebooks._size(span) for span in notebooks._STORE.kept()[-5:]}

    keep_spans(5 * size)
    assert len(notebooks._STORE.kept()) == 5
    assert "<table" not in str(Session("trip-14", "Trip")._repr_html_())
    assert "<table" in str(Session("trip-15", "Trip")._repr_html_())
    keep_spans(0)
    assert notebooks._STORE.kept() == []


def test_nothing_is_kept_that_nobody_asked_for(provider: TracerProvider) -> None:
    with session("Trip", id="trip-1") as trip:
        work(provider)

    assert notebooks._STORE.kept() == []
    assert "<table" not in str(trip._repr_html_())


def test_spans_without_a_session_are_not_kept(provider: TracerProvider) -> None:
    keep_spans()
    with provider.get_tracer("opentelemetry.instrumentation.redis").start_as_current_span("GET"):
        pass

    assert notebooks._STORE.kept() == []


def test_wrong_arguments_and_an_app_without_the_library_are_errors(provider: TracerProvider) -> None:
    with pytest.raises(ValueError, match="max_bytes: expected a number of bytes from 0 on, got -1"):
        keep_spans(-1)
    configure(Settings(), provider=provider).uninstall()
    with pytest.raises(RuntimeError, match=r"call helicone_otel\.configure\(\) before"):
        keep_spans()


@pytest.mark.failures
def test_a_drawing_that_fails_leaves_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "escape", None)

    assert Session("trip-1")._repr_html_() is None


def test_a_session_loads_nothing_for_notebooks_until_it_is_drawn() -> None:
    code = (
        "import sys; from helicone_otel import Session; trip = Session('trip-1')\n"
        "print('helicone_otel.notebooks' in sys.modules); trip._repr_html_()\n"
        "print([name for name in sys.modules if name.startswith(('rich', 'starlette', 'IPython'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == ("False\n[]\n", "")
