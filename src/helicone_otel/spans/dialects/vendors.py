"""Products and SDKs that make spans themselves: Langfuse, LangSmith, OpenLIT, Pydantic AI, MLflow, …, and ours."""

from __future__ import annotations

from ... import wire
from ...wire import Kind
from ..schema import Dialect, Row
from .frameworks import LANGCHAIN_CLASSES, LANGCHAIN_PLUMBING
from .semconv import AGENT_NAME, NAMED, OPERATION, TOOL_NAME, WHOLE_NAME


def _retrievers(attribute: str, values: frozenset[str]) -> tuple[Row, Row]:
    """Return the rows of retrievers: LangChain names the run of one after its class, and people name others."""
    return (
        Row(kind="vector_db", attribute=attribute, values=values, names=("*Retriever",), segment="retrieve"),
        Row(kind="vector_db", attribute=attribute, values=values, templates=WHOLE_NAME),
    )


# https://langfuse.com/docs/observability/features/observation-types
_TYPE = "langfuse.observation.type"

LANGFUSE = Dialect(
    name="langfuse",
    scopes=("langfuse-sdk",),
    rows=(
        # Langfuse's wrapper of the OpenAI client never makes its spans current.
        Row(kind="llm", attribute=_TYPE, values=frozenset({"generation"}), not_current=True),
        Row(kind="embedding", attribute=_TYPE, values=frozenset({"embedding"}), not_current=True),
        Row(kind="tool", attribute=_TYPE, values=frozenset({"tool"}), templates=WHOLE_NAME),
        *_retrievers(_TYPE, frozenset({"retriever"})),
        Row(kind="agent", attribute=_TYPE, values=frozenset({"agent"}), templates=WHOLE_NAME),
        Row(kind="guardrail", attribute=_TYPE, values=frozenset({"guardrail", "evaluator"}), templates=WHOLE_NAME),
        Row(kind="task", attribute=_TYPE, values=frozenset({"span", "chain", "event"}), templates=WHOLE_NAME),
    ),
    guesses=(
        Row(kind="embedding", names=("OpenAI-embedding",), not_current=True),
        Row(kind="llm", names=("OpenAI-generation",), not_current=True),
        Row(kind="task", templates=WHOLE_NAME),
    ),
    # Its callback handler makes the spans of LangChain's runs.
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("langfuse.observation.metadata.langgraph_node",),
    session_ids=("langfuse.session.id",),
    user_ids=("langfuse.user.id",),
    models=("langfuse.observation.model.name",),
)


# https://docs.langchain.com/langsmith/trace-with-opentelemetry
_KIND = "langsmith.span.kind"

LANGSMITH = Dialect(
    name="langsmith",
    scopes=("langsmith",),
    late=True,
    rows=(
        Row(kind="llm", attribute=_KIND, values=frozenset({"llm"}), not_current=True),
        Row(kind="embedding", attribute=_KIND, values=frozenset({"embedding"}), not_current=True),
        Row(kind="tool", attribute=_KIND, values=frozenset({"tool"}), templates=WHOLE_NAME),
        *_retrievers(_KIND, frozenset({"retriever"})),
        Row(kind="task", attribute=_KIND, values=frozenset({"chain", "prompt", "parser"}), templates=WHOLE_NAME),
    ),
    guesses=(Row(kind="task", templates=WHOLE_NAME),),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("langsmith.metadata.langgraph_node",),
    session_ids=(
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "langsmith.metadata.conversation_id",
    ),
    user_ids=("langsmith.metadata.user_id",),
    grouped_by="langsmith.metadata.session_id",
)


# https://docs.openlit.io
OPENLIT_VECTORS = Dialect(
    name="openlit.vectors",
    scopes=(
        "openlit.instrumentation.astra",
        "openlit.instrumentation.chroma",
        "openlit.instrumentation.milvus",
        "openlit.instrumentation.pinecone",
        "openlit.instrumentation.qdrant",
    ),
    # Spans are named after the operation and the collection: `GET docs`.
    rows=(Row(kind="vector_db", operations=("db.operation.name",), verb=True),),
)

OPENLIT_LANGCHAIN = Dialect(
    name="openlit.langchain",
    scopes=("openlit.instrumentation.langchain", "openlit.instrumentation.langgraph"),
    rows=(
        # The retriever's span is not current, so the store's own span is beside it.
        Row(
            kind="vector_db", attribute=OPERATION, values=frozenset({"retrieval"}), segment="retrieve", not_current=True
        ),
    ),
    guesses=(Row(kind="vector_db", names=("retrieval *",), segment="retrieve", not_current=True),),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
)

# What CrewAI's agents run in is a flow of their own, whose methods look like agents: the app made none of them. Those
# methods are left out whose names an app might give to a method of its own flow, such as `generate_plan`.
_EXECUTOR = "AgentExecutor"
_EXECUTORS_METHODS = (
    *("call_llm_and_parse", "call_llm_native_tools", "check_max_iterations", "check_more_todos"),
    *("check_native_todo_completion", "check_todo_completion", "check_todos_available", "continue_iteration"),
    *("ensure_force_final_answer", "execute_native_tool", "execute_todo_sequential", "execute_todos_parallel"),
    *("get_ready_todos_method", "handle_step_observed_low", "handle_step_observed_medium", "increment_and_continue"),
    *("mark_todo_complete", "recover_from_context_length", "recover_from_parser_error"),
)

OPENLIT_CREWAI = Dialect(
    name="openlit.crewai",
    scopes=("openlit.instrumentation.crewai",),
    rows=(
        Row(
            kind="task",
            names=tuple(f"invoke_agent {method}" for method in _EXECUTORS_METHODS),
            templates=("invoke_agent *",),
        ),
    ),
    plumbing="|".join((_EXECUTOR, *_EXECUTORS_METHODS)),
)

OPENLIT = Dialect(
    name="openlit",
    scopes=("openlit.instrumentation.*",),
    rows=(
        Row(kind="vector_db", attribute=OPERATION, values=frozenset({"vectordb"}), operations=("db.operation.name",)),
        Row(kind="guardrail", attribute=OPERATION, values=frozenset({"moderation"}), segment="moderation"),
        # The spans of guardrails, handoffs and whole runs all look like invocations of agents.
        Row(
            kind="guardrail",
            attribute="gen_ai.guardrail.triggered",
            named_by=(AGENT_NAME,),
            templates=("invoke_agent *",),
        ),
        Row(kind="task", attribute="gen_ai.agent.source", named_by=(AGENT_NAME,), templates=("invoke_agent *",)),
        Row(kind="task", attribute=OPERATION, values=frozenset({"execute_task"}), templates=("execute_task *",)),
        Row(kind="task", names=("invoke_agent",)),
    ),
    guesses=(
        Row(kind="guardrail", names=("moderation *",), segment="moderation"),
        Row(kind="task", names=("execute_task *",), templates=("execute_task *",)),
        *NAMED,
    ),
    user_ids=("gen_ai.request.user",),
)


_AGENT = (AGENT_NAME, "agent_name")

PYDANTIC_AI = Dialect(
    name="pydantic-ai",
    scopes=("pydantic-ai",),
    # OpenInference adds its types to these spans late, and no names, so these rows come first.
    rows=(
        Row(
            kind="agent",
            attribute=OPERATION,
            values=frozenset({"invoke_agent"}),
            named_by=_AGENT,
            templates=("invoke_agent *",),
        ),
        Row(
            kind="tool",
            attribute=OPERATION,
            values=frozenset({"execute_tool"}),
            named_by=(TOOL_NAME,),
            templates=("execute_tool *",),
        ),
        # Versions 1 and 2 of Pydantic AI's conventions.
        Row(kind="agent", names=("agent run",), named_by=_AGENT),
        Row(kind="tool", names=("running tool",), named_by=(TOOL_NAME,)),
        Row(kind="task", names=("running tools", "running * tools"), segment="tools"),
    ),
    guesses=NAMED,
    # A run that is given no conversation begins one of its own.
    made_up_ids=("gen_ai.conversation.id", "session.id"),
)

# https://logfire.pydantic.dev: Logfire writes a log as a span without duration, and announces a span by another one.
LOGFIRE = Dialect(
    name="logfire",
    rows=(Row(kind=None, attribute="logfire.span_type", values=frozenset({"log", "pending_span"})),),
)


# OpenTelemetry's own instrumentation of LangChain.
GENAI_LANGCHAIN = Dialect(
    name="genai.langchain",
    scopes=("opentelemetry.instrumentation.genai.langchain",),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
)

_SUFFIXED: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("workflow", ("session", "trace", "workflow")),
    ("agent", ("agent",)),
    ("task", ("task", "operation", "chain")),
    ("tool", ("tool",)),
    ("guardrail", ("guardrail",)),
)
_AGENTOPS = "agentops.span.kind"

# https://docs.agentops.ai: what its decorators make is named after the function and its kind: `lookup.tool`. What its
# handler of LangChain's callbacks makes is named after the kind alone.
AGENTOPS = Dialect(
    name="agentops",
    scopes=("agentops",),
    rows=(
        Row(kind="llm", attribute=_AGENTOPS, values=frozenset({"llm"})),
        *(
            Row(
                kind=kind,
                attribute=_AGENTOPS,
                values=frozenset(types),
                named_by=("operation.name", "langchain.tool.name"),
                templates=tuple(f"*.{type_}" for type_ in types),
            )
            for kind, types in _SUFFIXED
        ),
    ),
    guesses=(
        Row(kind="llm", names=("*.llm",)),
        *(
            Row(kind=kind, names=names, templates=names)
            for kind, names in ((kind, tuple(f"*.{type_}" for type_ in types)) for kind, types in _SUFFIXED)
        ),
        Row(kind="task"),
    ),
)

# Its instrumentations of clients use the clients' names as scopes.
AGENTOPS_CLIENTS = Dialect(
    name="agentops.clients",
    scopes=("openai", "anthropic", "google-genai", "ibm-watson-machine-learning", "agentops.instrumentation.*"),
    rows=(
        Row(kind="llm", attribute="gen_ai.request.type", values=frozenset({"chat", "completion"})),
        Row(kind="embedding", attribute="gen_ai.request.type", values=frozenset({"embedding"})),
        *(
            Row(kind=kind, attribute=_AGENTOPS, values=frozenset(types), templates=tuple(f"*.{one}" for one in types))
            for kind, types in _SUFFIXED
        ),
        Row(kind="llm", attribute=_AGENTOPS, values=frozenset({"llm"})),
    ),
    guesses=(
        Row(kind="embedding", names=("*.embeddings", "*.embed_content")),
        Row(kind="llm", names=("openai.chat*", "openai.completion*", "openai.responses*", "anthropic.messages.*")),
        Row(
            kind="llm",
            names=("anthropic.completions.*", "gemini.generate_content*", "watsonx.generate*", "watsonx.chat*"),
        ),
    ),
)

# Its instrumentations of agent frameworks use the frameworks' names as scopes, and never make their spans current.
AGENTOPS_FRAMEWORKS = Dialect(
    name="agentops.frameworks",
    scopes=("openai-agents", "crewai", "ag2", "agno", "agentops.instrumentation.agentic.langgraph"),
    rows=(
        # A node that calls a model has the type of the call.
        Row(kind="task", names=("langgraph.node.execute",), named_by=("langgraph.node.name",)),
        Row(kind="llm", attribute=_AGENTOPS, values=frozenset({"llm"}), not_current=True),
        *(
            Row(
                kind=kind,
                attribute=_AGENTOPS,
                values=frozenset({*types, *(f"{type_}.usage" for type_ in types)}),
                named_by=("agent.name", "tool.name"),
                templates=(
                    *("*.agno.agent.run.agent", "*.agno.team.run.workflow", "*.agno.workflow.run.workflow"),
                    *("langgraph.*.execute", *(f"*.{type_}" for type_ in types)),
                ),
            )
            for kind, types in _SUFFIXED
        ),
        Row(kind="workflow", attribute="workflow.step.type", values=frozenset({"trace"}), templates=WHOLE_NAME),
    ),
    guesses=(Row(kind="task", templates=WHOLE_NAME),),
)

# https://docs.laminar.sh: one tracer for its decorators and its instrumentations of clients.
LAMINAR = Dialect(
    name="laminar",
    scopes=("lmnr.tracer", "lmnr*"),
    rows=(
        Row(kind="embedding", names=("*.embeddings", "*.embed")),
        Row(kind="llm", attribute="lmnr.span.type", values=frozenset({"llm", "cached"})),
        Row(kind="tool", attribute="lmnr.span.type", values=frozenset({"tool"}), templates=WHOLE_NAME),
        Row(
            kind="guardrail",
            attribute="lmnr.span.type",
            values=frozenset({"evaluator", "human_evaluator"}),
            templates=WHOLE_NAME,
        ),
        # LangChain's runs, whose type is that of any other span.
        Row(kind="workflow", names=("*.workflow",), templates=("*.workflow",)),
        Row(kind="task", names=("execute_task *",), templates=("execute_task *",)),
        Row(kind="tool", names=("execute_tool *",), templates=("execute_tool *",)),
        Row(kind="agent", names=("invoke_agent *", "create_agent *"), templates=("invoke_agent *", "create_agent *")),
        Row(kind="vector_db", names=("vector_db_retrieve *", "*Retriever"), segment="retrieve"),
        Row(kind="task", attribute="lmnr.span.type", templates=WHOLE_NAME),
    ),
    guesses=(Row(kind="task", templates=WHOLE_NAME),),
    # Its handler of callbacks makes the spans of LangChain's runs.
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("langchain.metadata:langgraph_node",),
    session_ids=("lmnr.association.properties.session_id",),
    user_ids=("lmnr.association.properties.user_id",),
    grouped_by="lmnr.association.properties.session_id",
)

_LANGWATCH = "langwatch.span.type"

# https://docs.langwatch.ai: spans get their types a moment after their start.
LANGWATCH = Dialect(
    name="langwatch",
    scopes=("langwatch*",),
    rows=(
        Row(kind="llm", attribute=_LANGWATCH, values=frozenset({"llm"})),
        Row(kind="tool", attribute=_LANGWATCH, values=frozenset({"tool"}), templates=WHOLE_NAME),
        Row(kind="agent", attribute=_LANGWATCH, values=frozenset({"agent"}), templates=WHOLE_NAME),
        Row(kind="vector_db", attribute=_LANGWATCH, values=frozenset({"rag"}), templates=WHOLE_NAME),
        Row(kind="workflow", attribute=_LANGWATCH, values=frozenset({"workflow"}), templates=WHOLE_NAME),
        Row(
            kind="guardrail", attribute=_LANGWATCH, values=frozenset({"guardrail", "evaluation"}), templates=WHOLE_NAME
        ),
        Row(kind="task", attribute=_LANGWATCH, templates=WHOLE_NAME),
    ),
    guesses=(Row(kind="task", templates=WHOLE_NAME),),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    session_ids=("langwatch.thread.id",),
    user_ids=("langwatch.user.id",),
)

_MLFLOW = "mlflow.spanType"


def _mlflow(*types: str) -> frozenset[str]:
    """Return the values of MLflow's type of a span, which it writes as JSON."""
    return frozenset({*types, *(f'"{type_}"' for type_ in types)})


# https://mlflow.org/docs/latest/genai/tracing: spans get their types a moment after their start, and are never current.
MLFLOW = Dialect(
    name="mlflow",
    scopes=("mlflow*",),
    rows=(
        Row(kind="llm", attribute=_MLFLOW, values=_mlflow("llm", "chat_model"), not_current=True),
        Row(kind="embedding", attribute=_MLFLOW, values=_mlflow("embedding"), not_current=True),
        Row(kind="tool", attribute=_MLFLOW, values=_mlflow("tool"), templates=WHOLE_NAME),
        Row(kind="agent", attribute=_MLFLOW, values=_mlflow("agent"), templates=WHOLE_NAME),
        *_retrievers(_MLFLOW, _mlflow("retriever")),
        Row(kind="rerank", attribute=_MLFLOW, values=_mlflow("reranker"), templates=WHOLE_NAME),
        Row(kind="workflow", attribute=_MLFLOW, values=_mlflow("workflow"), templates=WHOLE_NAME),
        Row(kind="guardrail", attribute=_MLFLOW, values=_mlflow("guardrail", "evaluator"), templates=WHOLE_NAME),
        Row(kind="task", attribute=_MLFLOW, templates=WHOLE_NAME),
    ),
    guesses=(Row(kind="task", templates=WHOLE_NAME),),
    plumbing=LANGCHAIN_PLUMBING,
    class_names=LANGCHAIN_CLASSES,
    given_names=("metadata:langgraph_node",),
)

_LANGTRACE = "langtrace.service.type"
_LANGTRACE_STORES = ("chromadb.*", "pinecone.*", "qdrantdb.*", "weaviate.*", "MilvusClient.*")
_EMBEDS = frozenset({"embed", "embeddings", "embeddings.create"})

# https://docs.langtrace.ai: the scopes are modules. Spans get their attributes a moment after their start.
LANGTRACE = Dialect(
    name="langtrace",
    scopes=("langtrace_python_sdk.*", "@langtrase/*"),
    rows=(
        Row(kind="vector_db", attribute=_LANGTRACE, values=frozenset({"vectordb"}), operations=("db.operation",)),
        Row(kind="rerank", names=("*.rerank",), segment="rerank"),
        Row(kind="embedding", names=("*.embed", "*.embeddings", "*.embeddings.create")),
        Row(kind="embedding", attribute=OPERATION, values=_EMBEDS),
        Row(kind="llm", attribute=_LANGTRACE, values=frozenset({"llm"}), not_current=True),
        Row(kind="task", attribute=_LANGTRACE),
    ),
    guesses=(
        *(
            Row(kind="llm", names=names, not_current=True)
            for names in (
                ("*.completions.create", "*.responses.create", "*.chat", "*.chat_stream", "*.generate"),
                ("*.messages.create", "*.messages.stream", "*.invoke_model*", "*.generate_content*"),
            )
        ),
        Row(kind="vector_db", names=_LANGTRACE_STORES, templates=_LANGTRACE_STORES),
        Row(kind="task"),
    ),
)

_CALLS = ("invoke", "ainvoke", "stream", "astream", "generate", "agenerate", "generate_prompt", "agenerate_prompt")

# Its spans of LangChain and LangGraph are named after methods of their classes, and none after what the app named.
LANGTRACE_LANGCHAIN = Dialect(
    name="langtrace.langchain",
    scopes=("langtrace_python_sdk.instrumentation.langchain*", "langtrace_python_sdk.instrumentation.langgraph*"),
    rows=(
        Row(kind="llm", names=tuple(f"Base{model}.{call}" for model in ("ChatModel", "LLM") for call in _CALLS)),
        Row(kind="vector_db", names=("*Retriever.invoke", "*Retriever.ainvoke"), segment="retrieve"),
    ),
    plumbing=rf"(?:(?:{LANGCHAIN_CLASSES}|Base\w+)\.|langgraph\.graph\.)[\w.]+",
)

# https://github.com/anthropics/anthropic-sdk-python
ANTHROPIC = Dialect(
    name="anthropic",
    scopes=("com.anthropic.sdk.python",),
    rows=(
        Row(
            kind="llm", names=("anthropic.messages.create", "anthropic.messages.stream", "anthropic.completions.create")
        ),
        # Calls that manage sessions of hosted agents run no model.
        Row(kind=None, names=("anthropic.sessions.*",)),
    ),
    bare_carriers=True,
)

# The spans of `tool()`, `vector_query()` and `data()`.
HELICONE = Dialect(
    name="helicone",
    scopes=(wire.SCOPE,),
    rows=(
        # The step is the operation, whatever the collection.
        Row(kind="vector_db", attribute="db.operation.name", operations=("db.operation.name",)),
        Row(kind="data", attribute=wire.DATA_NAME, named_by=(wire.DATA_NAME,)),
        Row(
            kind="tool",
            attribute="gen_ai.operation.name",
            values=frozenset({"execute_tool"}),
            named_by=("gen_ai.tool.name",),
        ),
    ),
)
