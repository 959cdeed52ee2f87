"""The configuration of an OpenTelemetry Collector that `helicone-otel collector-config` prints.

It is `template.yaml`, with statements made from the dialects and from the settings in the environment.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from .. import wire
from ..settings import Settings, SettingsError
from ..spans.dialects import DIALECTS
from . import ottl, providers

# helicone-otel sets path and id together, in Python. A path on any other span was set by hand.
_LABELLED: Final = (
    f"({ottl.key(wire.SESSION_PATH)} != nil and {ottl.key(wire.SESSION_ID)} != nil "
    'and resource.attributes["telemetry.sdk.language"] == "python")'
)
_ROW_ID: Final = ottl.key(wire.REQUEST_ID)
# After a call through a gateway, the span holds the id of the gateway's row. All other ids are UUIDv5, made from the
# span's ids. A UUIDv5 begins with the first bytes of the SHA-1 of its namespace and name (RFC 9562, 5.5).
_NAMESPACE: Final = f'Decode("{base64.b64encode(wire.NAMESPACE.bytes).decode()}", "base64")'
_OWN_ID: Final = f'SHA1(Concat([{_NAMESPACE}, span.trace_id.string, span.span_id.string], ""))'
_IS_OWN: Final = f"Substring({_ROW_ID}, 0, 8) == Substring({_OWN_ID}, 0, 8)"
_CONDITIONS: Final = {
    "unlabelled": f"not {_LABELLED}",
    "kind decides": f"{_ROW_ID} == nil and not {_LABELLED}",
    "row is not its own": f'{_LABELLED} and not (IsMatch({_ROW_ID}, "^[0-9a-f]{{8}}-") and {_IS_OWN})',
}
# In the template, a line `#: name` or `#: name argument` stands for several lines, and `{{name}}` for a condition.
_PLACEHOLDER: Final = r"^( *)#: (\S+)(?: (\S+))?$"
_CONDITION: Final = r"\{\{(?:not in wire form (\S+)|([a-z ]+))\}\}"
_PROCESSORS: Final = r"(?ms)^  # --- Sessions:.*?(?=^  # ---)"


class Variable(NamedTuple):
    """An environment variable of the collector.

    Attributes:
        name: Its name.
        default: Its value if it is not set.
        meaning: What it is for, in Markdown.
    """

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("OTEL_BACKEND_ENDPOINT", "http://localhost:6006", "Where `otlp_http` sends spans, as OTLP over HTTP."),
    Variable(
        "OTEL_BACKEND_GRPC_ENDPOINT",
        "http://localhost:14317",
        "Where `otlp_grpc` sends spans, as OTLP over gRPC. `https://` for TLS; `host:port` alone is clear text.",
    ),
    Variable("OTEL_BACKEND_HEADERS", "null", "Headers for both: `{authorization: Bearer …}`."),
    Variable("OTEL_BACKEND_COMPRESSION", "gzip", "`gzip`, `zstd`, `snappy` or `none`."),
    Variable("OTEL_BACKEND_CA_FILE", "", "The authority of the backend's certificate, if it is not a public one."),
    Variable("OTEL_BACKEND_CERT_FILE", "", "The collector's own certificate, if the backend asks for one."),
    Variable("OTEL_BACKEND_KEY_FILE", "", "The key of that certificate."),
    Variable("OTEL_COLLECTOR_EXPORTERS", "[otlp_http]", "Some of `otlp_http`, `otlp_grpc`, `debug`."),
    Variable("OTEL_COLLECTOR_HOST", "127.0.0.1", "The address on which it listens; `0.0.0.0` in a container."),
    Variable(
        "OTEL_COLLECTOR_STORAGE",
        "/tmp/otelcol-helicone",  # noqa: S108  # a folder where anyone may write, so that a first run works
        "Folder of the sending queues. In production, use one on a persistent disk.",
    ),
    Variable(
        "OTEL_COLLECTOR_QUEUE_BYTES", "1073741824", "Maximum size of each exporter's queue. A full queue refuses."
    ),
    Variable("OTEL_COLLECTOR_RETRY_INTERVAL", "30s", "Maximum time between two attempts."),
    Variable("OTEL_COLLECTOR_MEMORY_PERCENT", "75", "Share of the memory above which it refuses spans."),
    Variable("OTEL_COLLECTOR_MAX_SERIES", "2000", "Maximum number of series of one metric of one service."),
    Variable("OTEL_COLLECTOR_METRICS_INTERVAL", "15s", "Time between two updates of the metrics."),
    Variable(
        "HELICONE_SESSION_NAME",
        "",
        "Name for sessions without one; it wins over `service.namespace` and `.name`. No quotes, no backslashes.",
    ),
    Variable("HELICONE_SESSION_FALLBACK", "none", "`trace`: the trace's id is the session's id of calls without one."),
    Variable("HELICONE_SESSION_SAMPLING_RATIO", "1", "Share of sessions to keep, each as a whole: `0.25`, not `1e-3`."),
    Variable("HELICONE_OTLP", "off", "`on`: send requests to Helicone's OTLP endpoint too."),
    Variable("HELICONE_API_KEY", "", "The key for that endpoint."),
    Variable(
        "HELICONE_OTLP_ENDPOINT",
        "https://api.helicone.ai/v1/trace/log-python",
        "That endpoint; `https://eu.api.helicone.ai/v1/trace/log-python` in the EU.",
    ),
    Variable(
        "HELICONE_OTLP_KINDS",
        "llm|embedding|tool|vector_db|rerank|guardrail|data",
        "Kinds of spans that are requests even without `helicone.request.id`.",
    ),
    Variable(
        "HELICONE_GATEWAYS",
        "(?:.*[.])?(?:helicone[.]ai|hconeai[.]com)",
        "Hosts of gateways, as a regular expression. Gateways make the rows themselves.",
    ),
)


def collector_config(*, processors_only: bool = False) -> int:
    """Print the configuration, with the dialects and attributes that the environment's settings name.

    Args:
        processors_only: Print only the processors that an existing collector needs.

    Returns:
        The exit code: 0, or 2 if a setting cannot be used.
    """
    try:
        settings = Settings.from_environment(log=False)
    except (SettingsError, OSError) as error:
        print(f"helicone-otel collector-config: {error}", file=sys.stderr)
        return 2
    print(session_processors(settings) if processors_only else full_config(settings), end="")
    return 0


def full_config(settings: Settings) -> str:
    """Return the whole configuration, as YAML."""
    text = files(__package__).joinpath("template.yaml").read_text(encoding="utf-8")
    lines = re.sub(_PLACEHOLDER, lambda match: _expanded(match, settings), text, flags=re.MULTILINE)
    return re.sub(_CONDITION, _condition, lines)


def session_processors(settings: Settings) -> str:
    """Return the processors that an existing collector needs, as YAML to merge into its configuration."""
    found = re.search(_PROCESSORS, full_config(settings))
    return f"processors:\n{found[0].rstrip()}\n" if found else ""


def render_variables() -> str:
    """Return the collector's variables as a Markdown table, for the documentation."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`".replace("|", "\\|") if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.meaning} |")
    return "\n".join(lines)


def _expanded(match: re.Match[str], settings: Settings) -> str:
    indent, name, argument = match.groups()
    return "\n".join(indent + line for line in _PLACEHOLDERS[name](settings, argument))


def _condition(match: re.Match[str]) -> str:
    attribute, name = match.groups()
    return ottl.wire_condition(attribute) if attribute else _CONDITIONS[name]


def _listed(statements: Sequence[str]) -> Iterator[str]:
    return (f"- {_scalar(statement)}" for statement in statements)


def _scalar(statement: str) -> str:
    # A configured attribute name may contain characters that YAML would not read as part of a text.
    if ": " not in statement and " #" not in statement:
        return statement
    return "'" + statement.replace("'", "''") + "'"


def _kind_condition(settings: Settings, _: str) -> Iterator[str]:
    has_one = ottl.kind_condition((*settings.dialects, *DIALECTS))
    return _listed([f"{_CONDITIONS['unlabelled']} and {ottl.key(wire.SPAN_KIND)} == nil and {has_one}"])


def _kinds(settings: Settings, _: str) -> Iterator[str]:
    return _listed(ottl.kind_statements((*settings.dialects, *DIALECTS)))


def _session_ids(settings: Settings, _: str) -> Iterator[str]:
    configured = settings.session_id_attributes
    known = [name for dialect in (*settings.dialects, *DIALECTS) for name in dialect.session_ids]
    names = dict.fromkeys((wire.SESSION_ID, *configured, *known))
    return _listed(ottl.first_statements("id", names, configured))


def _session_names(settings: Settings, _: str) -> Iterator[str]:
    configured = settings.session_name_attributes
    return _listed(ottl.first_statements("name", (wire.SESSION_NAME, *configured), configured))


def _user_condition(settings: Settings, _: str) -> Iterator[str]:
    has_one = ottl.some(_users(settings))
    return _listed([f"{_CONDITIONS['unlabelled']} and {ottl.key(wire.OTEL_USER_ID)} == nil and {has_one}"])


def _user_ids(settings: Settings, _: str) -> Iterator[str]:
    return _listed(ottl.first_statements("user", _users(settings), settings.user_id_attributes))


def _users(settings: Settings) -> Iterable[str]:
    known = [name for dialect in (*settings.dialects, *DIALECTS) for name in dialect.user_ids]
    return dict.fromkeys((*settings.user_id_attributes, *known))


def _model_condition(settings: Settings, _: str) -> Iterator[str]:
    return _listed([ottl.model_condition((*settings.dialects, *DIALECTS))])


def _models(settings: Settings, _: str) -> Iterator[str]:
    return _listed(ottl.model_statements("model", (*settings.dialects, *DIALECTS)))


def _providers(_: Settings, __: str) -> Iterator[str]:
    return _listed([*providers.provider_statements()])


def _wire_form(_: Settings, attribute: str) -> Iterator[str]:
    return _listed(ottl.wire_statements(attribute))


def _variables(_: Settings, __: str) -> Iterator[str]:
    width = max(len(variable.name) for variable in VARIABLES)
    for variable in VARIABLES:
        default = f" ({variable.default})" if variable.default else ""
        yield f"#   {variable.name:{width}}  {variable.meaning.replace('`', '')}{default}"


# Functions of the settings and the placeholder's argument.
_PLACEHOLDERS: Final[dict[str, Callable[[Settings, str], Iterator[str]]]] = {
    "kind_condition": _kind_condition,
    "kinds": _kinds,
    "session_ids": _session_ids,
    "session_names": _session_names,
    "user_condition": _user_condition,
    "user_ids": _user_ids,
    "model_condition": _model_condition,
    "models": _models,
    "providers": _providers,
    "wire": _wire_form,
    "variables": _variables,
}
