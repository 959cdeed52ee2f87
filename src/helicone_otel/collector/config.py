"""`helicone-otel collector-config`: a configuration for an OpenTelemetry Collector, with the dialects in it."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from .. import wire
from ..settings import Settings, SettingsError
from ..spans.dialects import DIALECTS
from ..wire import NAMESPACE
from . import ottl

# That helicone-otel has labelled a span shows by path and id together; without it a path is one by hand.
_LABELLED: Final = (
    f"({ottl.key(wire.SESSION_PATH)} != nil and {ottl.key(wire.SESSION_ID)} != nil "
    'and resource.attributes["telemetry.sdk.language"] == "python")'
)
_ROW_ID: Final = ottl.key(wire.REQUEST_ID)
# Of a call through a gateway the span names the gateway's row. An id of the span's own is a UUIDv5, which begins
# as the SHA-1 of its namespace and name does (RFC 9562, 5.5).
_NAMESPACE: Final = f'Decode("{base64.b64encode(NAMESPACE.bytes).decode()}", "base64")'
_OWN_ID: Final = f'SHA1(Concat([{_NAMESPACE}, span.trace_id.string, span.span_id.string], ""))'
_IS_OWN: Final = f"Substring({_ROW_ID}, 0, 8) == Substring({_OWN_ID}, 0, 8)"
_CONDITIONS: Final = {
    "unlabelled": f"not {_LABELLED}",
    "undecided": f"{_ROW_ID} == nil and not {_LABELLED}",
    "no row of its own": f'{_LABELLED} and not (IsMatch({_ROW_ID}, "^[0-9a-f]{{8}}-") and {_IS_OWN})',
}
# `#: name` on a line of its own stands for lines, `{{name}}` for a condition.
_LINES: Final = r"^( *)#: (\S+)(?: (\S+))?$"
_CONDITION: Final = r"\{\{(?:unwired (\S+)|([a-z ]+))\}\}"
_PROCESSORS: Final = r"(?ms)^  # --- Sessions:.*?(?=^  # ---)"


class Variable(NamedTuple):
    """A variable of the environment in which the collector runs."""

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("OTEL_BACKEND_ENDPOINT", "http://localhost:6006", "Where spans go, as OTLP over HTTP: `otlp_http`."),
    Variable(
        "OTEL_BACKEND_GRPC_ENDPOINT",
        "http://localhost:14317",
        "Where spans go, as OTLP over gRPC: `otlp_grpc`. `https://` for TLS; `host:port` alone is clear text.",
    ),
    Variable("OTEL_BACKEND_HEADERS", "null", "Headers for either: `{authorization: Bearer …}`."),
    Variable("OTEL_BACKEND_COMPRESSION", "gzip", "`gzip`, `zstd`, `snappy` or `none`."),
    Variable("OTEL_BACKEND_CA_FILE", "", "Who signed the backend's certificate, if not a public authority."),
    Variable("OTEL_BACKEND_CERT_FILE", "", "A certificate of the collector's own, if the backend asks for one."),
    Variable("OTEL_BACKEND_KEY_FILE", "", "Its key."),
    Variable("OTEL_COLLECTOR_EXPORTERS", "[otlp_http]", "Some of `otlp_http`, `otlp_grpc`, `debug`."),
    Variable("OTEL_COLLECTOR_HOST", "127.0.0.1", "Where it listens; `0.0.0.0` in a container."),
    Variable(
        "OTEL_COLLECTOR_STORAGE",
        "/tmp/otelcol-helicone",  # noqa: S108  # where anyone may write: a first run needs no rights
        "Folder of the sending queues. Name one on a disk that stays.",
    ),
    Variable("OTEL_COLLECTOR_QUEUE_BYTES", "1073741824", "Of each exporter's queue, at most; then clients must wait."),
    Variable("OTEL_COLLECTOR_RETRY_INTERVAL", "30s", "Between two attempts, at most."),
    Variable("OTEL_COLLECTOR_MEMORY_PERCENT", "75", "Of the memory that there is; above it clients must wait."),
    Variable("OTEL_COLLECTOR_MAX_SERIES", "2000", "Series of one metric of one service, at most."),
    Variable("OTEL_COLLECTOR_METRICS_INTERVAL", "15s", "Between two states of the metrics."),
    Variable(
        "HELICONE_SESSION_NAME",
        "",
        "Name of sessions that have none, before `service.namespace` and `.name`. Without quotes and backslashes.",
    ),
    Variable("HELICONE_SESSION_FALLBACK", "none", "`trace`: calls without a session get their trace's id as one."),
    Variable("HELICONE_SESSION_SAMPLING_RATIO", "1", "Share of sessions that is sent on, whole: `0.25`, no `1e-3`."),
    Variable("HELICONE_OTLP", "off", "`on`: requests go to Helicone's OTLP door as well."),
    Variable("HELICONE_API_KEY", "", "For that."),
    Variable(
        "HELICONE_OTLP_ENDPOINT",
        "https://api.helicone.ai/v1/trace/log-python",
        "The door; `https://eu.api.helicone.ai/v1/trace/log-python` in the EU.",
    ),
    Variable(
        "HELICONE_OTLP_KINDS",
        "llm|embedding|tool|vector_db|rerank|guardrail|data",
        "Which spans without `helicone.request.id` are requests.",
    ),
    Variable(
        "HELICONE_GATEWAYS",
        "(?:.*[.])?(?:helicone[.]ai|hconeai[.]com)",
        "Hosts of gateways, which make rows themselves: a regular expression.",
    ),
)


def collector_config(*, processors_only: bool = False) -> int:
    """Print the configuration, for the dialects and attributes that the environment's settings name."""
    try:
        settings = Settings.from_environment()
    except (SettingsError, OSError) as error:
        print(f"helicone-otel collector-config: {error}", file=sys.stderr)
        return 2
    print(processors(settings) if processors_only else whole(settings), end="")
    return 0


def whole(settings: Settings) -> str:
    """Return the whole configuration."""
    text = files(__package__).joinpath("template.yaml").read_text(encoding="utf-8")
    lines = re.sub(_LINES, lambda found: _expanded(found, settings), text, flags=re.MULTILINE)
    return re.sub(_CONDITION, _condition, lines)


def processors(settings: Settings) -> str:
    """Return the processors that a collector of somebody's own needs; a configuration by itself, to be merged."""
    found = re.search(_PROCESSORS, whole(settings))
    return f"processors:\n{found[0].rstrip()}\n" if found else ""


def render_variables() -> str:
    """Return the collector's variables as a Markdown table, for the README."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`".replace("|", "\\|") if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.meaning} |")
    return "\n".join(lines)


def _expanded(found: re.Match[str], settings: Settings) -> str:
    indent, name, argument = found.groups()
    return "\n".join(indent + line for line in _LINES_OF[name](settings, argument))


def _condition(found: re.Match[str]) -> str:
    unwired, name = found.groups()
    return ottl.wire_condition(unwired) if unwired else _CONDITIONS[name]


def _listed(statements: Sequence[str]) -> Iterator[str]:
    return (f"- {_scalar(statement)}" for statement in statements)


def _scalar(statement: str) -> str:
    # Names of attributes that somebody configured may hold what YAML reads as more than text.
    if ": " not in statement and " #" not in statement:
        return statement
    return "'" + statement.replace("'", "''") + "'"


def _kinds(settings: Settings, _: str) -> Iterator[str]:
    return _listed(ottl.kind_statements((*settings.dialects, *DIALECTS)))


def _ids(settings: Settings, _: str) -> Iterator[str]:
    configured = settings.session_id_attributes
    known = [name for dialect in (*settings.dialects, *DIALECTS) for name in dialect.session_ids]
    names = dict.fromkeys((wire.SESSION_ID, *configured, *known))
    return _listed(ottl.first_statements("id", names, configured))


def _session_names(settings: Settings, _: str) -> Iterator[str]:
    configured = settings.session_name_attributes
    return _listed(ottl.first_statements("name", (wire.SESSION_NAME, *configured), configured))


def _users(settings: Settings, _: str) -> Iterator[str]:
    configured = settings.user_id_attributes
    known = [name for dialect in (*settings.dialects, *DIALECTS) for name in dialect.user_ids]
    return _listed(ottl.first_statements("user", dict.fromkeys((*configured, *known)), configured))


def _models(settings: Settings, _: str) -> Iterator[str]:
    return _listed(ottl.model_statements("model", (*settings.dialects, *DIALECTS)))


def _wired(_: Settings, attribute: str) -> Iterator[str]:
    return _listed(ottl.wire_statements(attribute))


def _variables(_: Settings, __: str) -> Iterator[str]:
    width = max(len(variable.name) for variable in VARIABLES)
    for variable in VARIABLES:
        default = f" ({variable.default})" if variable.default else ""
        yield f"#   {variable.name:{width}}  {variable.meaning.replace('`', '')}{default}"


_LINES_OF: Final[dict[str, Callable[[Settings, str], Iterator[str]]]] = {
    "kinds": _kinds,
    "session_ids": _ids,
    "session_names": _session_names,
    "user_ids": _users,
    "models": _models,
    "wire": _wired,
    "variables": _variables,
}
