"""The tables are compared with the published conventions, and the recordings with what the libraries do today.

Upstream renames and removes attributes. So each name that no package publishes needs a reason here, and each value
that a package publishes needs a row.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import helicone_otel
from helicone_otel import wire
from helicone_otel.log.rows.sources import SOURCES
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.providers import LITELLM
from helicone_otel.spans.reader import SpanReader
from helicone_otel.spans.routes import ENTRY_ROUTES
from helicone_otel.spans.schema import URL_ATTRIBUTES, Dialect
from tests.record.changes import changes
from tests.record.families import FAMILIES
from tests.support import replay
from tests.support.paths import REPOSITORY

# The extra `dev` installs these. The run with the lowest versions has none of them, and old names are no drift there.
openinference = pytest.importorskip("openinference.semconv.trace")
traceloop = pytest.importorskip("opentelemetry.semconv_ai")
gen_ai = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")

PACKAGE = Path(helicone_otel.__file__).parent
OTEL = ("opentelemetry.semconv.attributes", "opentelemetry.semconv._incubating.attributes")
# Names, exact or with a final `*`, that no convention package publishes, and who writes them.
UNPUBLISHED = {
    "agentops.span.kind": "AgentOps: https://docs.agentops.ai",
    "agno.*": "OpenInference's instrumentation of agno",
    "anthropic.*": "the Anthropic SDK's own spans",
    "helicone.*": "ours",
    "ai.*": "Vercel's AI SDK, a convention in JavaScript: https://ai-sdk.dev/docs/ai-sdk-core/telemetry",
    "celery.task_name": "opentelemetry-instrumentation-celery",
    "agent_name": "pydantic-ai before it took up OpenTelemetry's GenAI conventions",
    "db.filter": "OpenLIT",
    "db.vector.count": "OpenLIT",
    "executor.id": "Microsoft's agent-framework",
    "workflow.name": "Microsoft's agent-framework",
    "flow.node.name": "OpenInference's instrumentation of CrewAI",
    "gcp.vertex.agent.session_id": "Google's ADK",
    "gen_ai.agent.source": "OpenLIT, under OpenTelemetry's prefix",
    "gen_ai.client.operation.time_to_first_chunk": "pydantic-ai; the convention has it as a metric",
    "gen_ai.guardrail.triggered": "OpenLIT, under OpenTelemetry's prefix",
    "gen_ai.moderation.flagged": "OpenLIT, under OpenTelemetry's prefix",
    "gen_ai.request.reasoning.level": "the Anthropic SDK's own spans",
    "gen_ai.request.user": "OpenLIT, under OpenTelemetry's prefix",
    "gen_ai.request.type": "AgentOps, under OpenTelemetry's prefix",
    "gen_ai.thread.id": "Azure's clients, under OpenTelemetry's prefix",
    "gen_ai.server.time_to_first_token": "OpenLIT; the convention has it as a metric",
    "gen_ai.usage.cache_write.input_tokens": "the Anthropic SDK's own spans",
    "gen_ai.usage.details.*": "pydantic-ai",
    "haystack.*": "Haystack",
    "langchain.tool.name": "AgentOps: https://docs.agentops.ai",
    "langgraph.node.name": "AgentOps: https://docs.agentops.ai",
    "workflow.step.type": "AgentOps: https://docs.agentops.ai",
    "langtrace.service.type": "Langtrace: https://docs.langtrace.ai",
    "langwatch.*": "LangWatch: https://docs.langwatch.ai",
    "lmnr.*": "Laminar: https://docs.laminar.sh",
    "mlflow.spanType": "MLflow: https://mlflow.org/docs/latest/genai/tracing",
    "langfuse.*": "Langfuse: https://langfuse.com/integrations/native/opentelemetry",
    "langsmith.*": "LangSmith",
    "llm.request.model": "older releases of OpenLLMetry, still in the field",
    "llm.usage.completion_tokens": "older releases of OpenLLMetry, still in the field",
    "llm.usage.prompt_tokens": "older releases of OpenLLMetry, still in the field",
    "llm.response.model": "older releases of OpenLLMetry, still in the field",
    "hidden_params": "LiteLLM: https://docs.litellm.ai/docs/observability/opentelemetry_integration",
    **{f"llm.{name}.*": "LiteLLM, with the names that its providers give to members of their API" for name in LITELLM},
    "logfire.span_type": "Logfire",
    "model_request_parameters": "pydantic-ai",
    "qdrant.*": "OpenLLMetry, of which its package publishes a few",
    "request_data": "Logfire",
    "response_data": "Logfire",
    "tool_arguments": "pydantic-ai before version 3 of its conventions",
    "tool_response": "pydantic-ai before version 3 of its conventions",
    "operation.name": "AgentOps: https://docs.agentops.ai",
    "spring.ai.*": "Spring AI: https://docs.spring.io/spring-ai/reference/observability",
    "wandb.thread_id": "Weave: https://docs.wandb.ai/weave/guides/tracking/otel",
    "traceloop.association.properties.*": "OpenLLMetry publishes the prefix; what follows it is the user's choice",
    # Published in https://github.com/open-telemetry/semantic-conventions-genai, which has no package yet.
    "gen_ai.retrieval.top_k": "OpenTelemetry's GenAI conventions 0.1, not yet in a package",
}
# Published values that mean no kind.
UNKNOWN_VALUES = {"unknown"}


def test_every_attribute_in_the_tables_is_published_or_has_a_reason() -> None:
    published = set(_published())
    unpublished = sorted(name for name in _names() if name not in published)

    assert [name for name in unpublished if not _reasons(name)] == []


def test_no_reason_is_left_for_a_name_that_is_published_or_no_longer_in_a_table() -> None:
    published = set(_published())
    needed = {reason for name in _names() if name not in published for reason in _reasons(name)}

    assert sorted(UNPUBLISHED.keys() - needed) == []


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("gen_ai.operation.name", gen_ai.GenAiOperationNameValues),
        ("openinference.span.kind", openinference.OpenInferenceSpanKindValues),
        ("traceloop.span.kind", traceloop.TraceloopSpanKindValues),
        ("llm.request.type", traceloop.LLMRequestTypeValues),
    ],
)
def test_every_published_value_has_a_row(attribute: str, values: type[Enum]) -> None:
    reader = SpanReader(DIALECTS)
    scope = reader.scope("of no dialect")
    known = {
        value.value: reader.read(scope, "a span", "CLIENT", {attribute: value.value}).recognised for value in values
    }

    assert [value for value, is_known in known.items() if not is_known and value.lower() not in UNKNOWN_VALUES] == []


def test_every_dialect_has_a_name_of_its_own() -> None:
    names = [dialect.name for dialect in DIALECTS]

    assert len(names) == len(set(names))


def test_every_dialect_and_no_other_is_in_the_list_of_families() -> None:
    text = (REPOSITORY / "docs" / "families.md").read_text()
    listed = re.findall(r"`([a-z0-9_.-]+)`", text.partition("## Tested")[2].partition("## How often")[0])

    assert set(listed) - {"gen_ai.conversation.id", "wandb.thread_id"} == {dialect.name for dialect in DIALECTS}


def _published() -> Iterator[str]:
    for package in map(importlib.import_module, OTEL):
        for module in pkgutil.iter_modules(package.__path__):
            yield from _texts(importlib.import_module(f"{package.__name__}.{module.name}"))
    yield from _texts(openinference)
    yield from _texts(traceloop)


def _texts(owner: object) -> Iterator[str]:
    for name, value in vars(owner).items():
        if isinstance(value, Enum):
            yield str(value.value)
        elif isinstance(value, str) and not name.startswith("__"):
            yield value
        elif inspect.isclass(value) and value.__module__ == getattr(owner, "__name__", ""):
            yield from _texts(value)


def _names() -> set[str]:
    """Return the attributes that the tables name, that `tool()` and its siblings write, and that the labels set."""
    names = {*URL_ATTRIBUTES, wire.OTEL_SESSION_ID, wire.OTEL_CONVERSATION_ID, wire.OTEL_USER_ID}
    for dialect in DIALECTS:
        names |= _names_of(dialect)
    names |= {name for entry_route in ENTRY_ROUTES for name in entry_route.named_by}
    names |= {name.removesuffix(".") for source in SOURCES for name in source.keys}
    tree = ast.parse((PACKAGE / "manual" / "calls.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return names | {text for text in texts if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", text)}


def _names_of(dialect: Dialect) -> set[str]:
    rows = (*dialect.rows, *dialect.guesses)
    names = {name for row in rows for name in (row.attribute, *row.named_by, *row.operations) if name}
    lists = (dialect.session_ids, dialect.user_ids, dialect.response_ids)
    lists += (dialect.providers, dialect.models, dialect.statements)
    return names.union(*lists)


def _reasons(name: str) -> list[str]:
    return [key for key in UNPUBLISHED if name == key or (key.endswith("*") and name.startswith(key[:-1]))]


# --- recordings ---------------------------------------------------------------------------------


def test_a_recording_has_no_changes_against_itself() -> None:
    recording = replay.load("oi_openai")

    assert list(changes(recording, copy.deepcopy(recording))) == []


def test_each_change_between_two_recordings_is_one_line() -> None:
    before = replay.load("oi_openai")
    after = copy.deepcopy(before)
    after["packages"]["openai"] = "99.0.0"
    spans = {(span["scenario"], span["name"]): span for span in after["spans"]}
    after["spans"].remove(spans["moderations", "ModerationCreateResponse"])
    chat = spans["chat", "ChatCompletion"]
    for attributes in (chat["attributes_at_start"], chat["attributes_at_end"]):
        attributes["openinference.span.type"] = attributes.pop("openinference.span.kind")
    chat["kind"] = "CLIENT"

    where, moderation = "chat: 'ChatCompletion' (openinference.instrumentation.openai)", "ModerationCreateResponse"
    post = "'POST' (opentelemetry.instrumentation.httpx)"
    assert list(changes(before, after)) == [
        "openai: 3.54.0 → 99.0.0",
        f"{where} is of kind CLIENT, and no longer INTERNAL",
        f"{where} is classified as (None, '/', False), and no longer ('llm', '/chat', True)",
        f"{where} has gained at start: openinference.span.type",
        f"{where} has lost at start: openinference.span.kind",
        f"{where} has gained at the end: openinference.span.type",
        f"{where} has lost at the end: openinference.span.kind",
        f"chat: {post} is classified as (None, '/', False), and no longer (None, '/chat', False)",
        f"moderations: '{moderation}' (openinference.instrumentation.openai) is gone",
        f"moderations: {post} is below no parent, and no longer {moderation}",
        f"moderations: {post} is classified as (None, '/', False), and no longer (None, '/{moderation}', False)",
    ]


def test_every_family_that_can_be_recorded_again_has_a_recording() -> None:
    assert {name for name in FAMILIES if not (replay.RECORDINGS / f"{name}.json").exists()} == set()


def test_an_unknown_family_is_an_error_that_lists_the_known_ones() -> None:
    run = _record("oi_openia")

    assert run.returncode == 2
    assert "there is no 'oi_openia'; there are genai_openai, oi_openai, " in run.stderr


def recorded_again(name: str) -> subprocess.CompletedProcess[str]:
    """Record a family with the newest versions, in a virtual environment that is made for it."""
    return _record(name)


@pytest.mark.slow
@pytest.mark.ahead(work=recorded_again)
@pytest.mark.parametrize("name", FAMILIES)
def test_spans_of_the_newest_libraries_get_the_same_labels_as_the_recorded_ones(
    name: str, outcome: subprocess.CompletedProcess[str]
) -> None:
    run = outcome
    print(run.stdout)  # noqa: T201  # all changes, harmless ones too

    # The code is 1 for changes and for a failure, which prints no count of spans.
    assert run.returncode in (0, 1), run.stderr
    assert run.stdout.startswith(f"{name}: "), run.stderr
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.endswith((" is gone", " is new")) or " is classified as " in line] == []


def _record(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.record", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
