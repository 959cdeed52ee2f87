"""The settings: one table, from which the parser, `helicone-otel env` and the README's table come.

Everything that has an `OTEL_*` variable already keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from .destinations import HostList
from .sessions.model import SessionPath
from .spans.schema import REQUEST_KINDS, Dialect
from .values import Value, value
from .wire import MAX_PROPERTIES, is_property_name

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
FALLBACKS: Final = ("trace", "none")
FAMILIES: Final = ("session", "gen_ai", "user", "sdk")
SIDES: Final[tuple[str, ...]] = ("inputs", "outputs")


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and what fits."""


@value
class Settings(Value):
    """What the library does, as decided once at start.

    Every field has an environment variable, listed with its meaning by `helicone-otel env`.

        configure(Settings(session_name="Trip Planning", gateway_hosts=("gateway.example.com",)))

    Raises:
        SettingsError: A value cannot be used.
    """

    session_name: str | None
    session_id: str | None
    session_path: str
    session_id_attributes: tuple[str, ...]
    session_name_attributes: tuple[str, ...]
    session_fallback: str
    session_sampling_ratio: float
    user_id_attributes: tuple[str, ...]
    property_attributes: tuple[str, ...]
    gateway_hosts: tuple[str, ...]
    propagate_hosts: tuple[str, ...]
    propagate_messaging: bool
    accept_inbound: bool
    application_spans: bool
    attributes: tuple[str, ...]
    capture_headers: bool
    dialects: tuple[Dialect, ...]
    log: bool
    api_key: str | None
    log_kinds: tuple[str, ...]
    log_content: tuple[str, ...]
    log_endpoint: str | None
    api_endpoint: str | None
    log_http_hosts: tuple[str, ...]

    def __init__(
        self,
        *,
        session_name: str | None = None,
        session_id: str | None = None,
        session_path: str = "/",
        session_id_attributes: tuple[str, ...] = (),
        session_name_attributes: tuple[str, ...] = (),
        session_fallback: str = "trace",
        session_sampling_ratio: float = 1.0,
        user_id_attributes: tuple[str, ...] = (),
        property_attributes: tuple[str, ...] = (),
        gateway_hosts: tuple[str, ...] = (),
        propagate_hosts: tuple[str, ...] = (),
        propagate_messaging: bool = False,
        accept_inbound: bool = False,
        application_spans: bool = True,
        attributes: tuple[str, ...] = FAMILIES,
        capture_headers: bool = False,
        dialects: tuple[Dialect, ...] = (),
        log: bool = False,
        api_key: str | None = None,
        log_kinds: tuple[str, ...] = (),
        log_content: tuple[str, ...] = ("all",),
        log_endpoint: str | None = None,
        api_endpoint: str | None = None,
        log_http_hosts: tuple[str, ...] = (),
    ) -> None:
        fields = dict(locals())
        del fields["self"]
        vars(self).update(fields)
        for setting in SETTINGS:
            try:
                setting.check(fields[setting.field])
            except (TypeError, ValueError) as error:
                raise SettingsError(f"{setting.field} ({setting.variable}): {error}") from error

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables; an empty one counts as unset.

        Args:
            environ: The variables; the process's own if not given.

        Raises:
            SettingsError: A variable has a value that cannot be used; its name stands in the message.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            text = environ.get(setting.variable, "").strip()
            if not text:
                continue
            try:
                values[setting.field] = setting.parse(text)
            except ValueError as error:
                raise SettingsError(f"{setting.variable}: {error}") from error
        return cls(**values)

    def without_log(self) -> Settings:
        """Return the settings that concern labels and headers alone: no key stands in them."""
        return Settings(**{name: value for name, value in vars(self).items() if name not in _OF_THE_LOG})


_OF_THE_LOG: Final = frozenset(
    {"log", "api_key", "log_kinds", "log_content", "log_endpoint", "api_endpoint", "log_http_hosts"}
)


class Setting(NamedTuple):
    """One row of the table."""

    field: str
    variable: str
    parse: Callable[[str], Any]
    check: Callable[[Any], None]
    default: str
    meaning: str


def _boolean(text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r:.60} is neither true nor false")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry for part in text.split(",") if (entry := part.strip()))


def _check_text(value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError(f"expected a text that is not blank, got {value!r:.60}")


def _check_secret(value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError("expected a text that is not blank")


def _check_boolean(value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"expected True or False, got {value!r:.60}")


def _check_names(value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError(f"expected a tuple of names, got {value!r:.60}")


def named_attributes(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield name and attribute of entries `name=attribute`.

    Raises:
        ValueError: An entry is no such pair, or the name cannot be part of a header's.
    """
    for entry in entries:
        name, equals, attribute = (part.strip() for part in entry.partition("="))
        if not equals or not attribute or not is_property_name(name):
            raise ValueError(f"{entry!r:.60} is not <property>=<attribute>, as in 'Plan=app.plan'")
        yield name, attribute


def _check_properties(value: tuple[str, ...]) -> None:
    _check_names(value)
    properties = dict(named_attributes(value))
    if len(properties) > MAX_PROPERTIES:
        raise ValueError(f"expected at most {MAX_PROPERTIES} properties, got {len(properties)}")


def _check_hosts(value: tuple[str, ...]) -> None:
    _check_names(value)
    HostList(value)


def _check_path(value: str) -> None:
    SessionPath(value)


def _check_fallback(value: object) -> None:
    if value not in FALLBACKS:
        raise ValueError(f"expected one of {', '.join(FALLBACKS)}, got {value!r:.60}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r:.60} is no number") from None


def _check_ratio(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number from 0 to 1, got {value!r:.60}")
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {value!r:.60}")


def _check_families(value: tuple[str, ...]) -> None:
    _check_names(value)
    unknown = sorted(set(value) - set(FAMILIES) - {"none"})
    if unknown:
        raise ValueError(f"expected some of {', '.join(FAMILIES)} or none, got {unknown[0]!r:.60}")


def _check_kinds(value: tuple[str, ...]) -> None:
    _check_names(value)
    unknown = sorted(set(value) - REQUEST_KINDS)
    if unknown:
        raise ValueError(f"expected some of {', '.join(sorted(REQUEST_KINDS))}, got {unknown[0]!r:.60}")


def content_of(entries: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return of which kinds inputs and outputs may leave.

    Args:
        entries: `all`, `none`, `inputs`, `outputs`, a kind, or one side of a kind, as in `tool.outputs`.

    Raises:
        ValueError: An entry is none of these.
    """
    allowed: dict[str, frozenset[str]] = {side: frozenset() for side in SIDES}
    for entry in entries:
        kinds, sides = _allowed_by(entry)
        for side in sides:
            allowed[side] |= kinds
    return allowed


def _allowed_by(entry: str) -> tuple[frozenset[str], tuple[str, ...]]:
    kind, _, side = entry.rpartition(".")
    if entry in {"all", "none"}:
        return (REQUEST_KINDS if entry == "all" else frozenset()), SIDES
    if side in SIDES and (not kind or kind in REQUEST_KINDS):
        return (frozenset({kind}) if kind else REQUEST_KINDS), (side,)
    if entry in REQUEST_KINDS:
        return frozenset({entry}), SIDES
    raise ValueError(f"expected all, none, inputs, outputs, or kinds such as tool or tool.inputs, got {entry!r:.60}")


def _check_content(value: tuple[str, ...]) -> None:
    _check_names(value)
    content_of(value)


def _check_endpoint(value: str | None) -> None:
    if value is not None:
        # Costs time, which an app that logs nothing should not spend.
        from .endpoints import checked_endpoint  # noqa: PLC0415

        checked_endpoint(value)


def _dialects(text: str) -> tuple[Dialect, ...]:
    # Costs time, which an app without a dialect of its own should not spend.
    from .spans.custom import read_dialects  # noqa: PLC0415

    return tuple(dialect for path in _listed(text) for dialect in read_dialects(Path(path).expanduser()))


def _check_dialects(value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(dialect, Dialect) for dialect in value):
        raise TypeError(f"expected a tuple of Dialect, got {value!r:.60}")
    if value:
        from .spans.custom import check_dialects  # noqa: PLC0415  # see above

        check_dialects(value)


SETTINGS: Final = (
    Setting(
        "session_name",
        "HELICONE_SESSION_NAME",
        str,
        _check_text,
        "`service.namespace`, else `service.name`",
        "Name of sessions that have none of their own. Services that share sessions must share it.",
    ),
    Setting(
        "session_id",
        "HELICONE_SESSION_ID",
        str,
        _check_text,
        "",
        "One id for everything the process does: for scripts and batch jobs, never for servers.",
    ),
    Setting(
        "session_path",
        "HELICONE_SESSION_PATH",
        str,
        _check_path,
        "`/`",
        "Path at which sessions begin that were not opened in code.",
    ),
    Setting(
        "session_id_attributes",
        "HELICONE_SESSION_ID_ATTRIBUTES",
        _listed,
        _check_names,
        "",
        "Span attributes that hold a session's id, before those the dialects know; for instance "
        "`http.request.header.x_conversation_id`.",
    ),
    Setting(
        "session_name_attributes",
        "HELICONE_SESSION_NAME_ATTRIBUTES",
        _listed,
        _check_names,
        "",
        "Span attributes that hold a session's name.",
    ),
    Setting(
        "session_fallback",
        "HELICONE_SESSION_FALLBACK",
        str.lower,
        _check_fallback,
        "`trace`",
        "`trace`: a trace without an id of its own is a session. `none`: it is not.",
    ),
    Setting(
        "session_sampling_ratio",
        "HELICONE_SESSION_SAMPLING_RATIO",
        _number,
        _check_ratio,
        "`1`",
        "Share of sessions that `OTEL_TRACES_SAMPLER=helicone_session` keeps where `OTEL_TRACES_SAMPLER_ARG` does "
        "not say; the Collector reads it too.",
    ),
    Setting(
        "user_id_attributes",
        "HELICONE_USER_ID_ATTRIBUTES",
        _listed,
        _check_names,
        "",
        "Span attributes that hold the user's id (`Helicone-User-Id`), before those the dialects know.",
    ),
    Setting(
        "property_attributes",
        "HELICONE_PROPERTY_ATTRIBUTES",
        _listed,
        _check_properties,
        "",
        "Span attributes that become properties (`Helicone-Property-Plan`): `Plan=app.plan`.",
    ),
    Setting(
        "gateway_hosts",
        "HELICONE_GATEWAY_HOSTS",
        _listed,
        _check_hosts,
        "",
        "Helicone gateways beside `*.helicone.ai` and `*.hconeai.com`: `host`, `host:port` or `.suffix`.",
    ),
    Setting(
        "propagate_hosts",
        "HELICONE_PROPAGATE_HOSTS",
        _listed,
        _check_hosts,
        "",
        "Your own services, in which the session goes on: `host`, `host:port`, `.suffix`, or the name of a gRPC "
        "service (`shop.Search`).",
    ),
    Setting(
        "propagate_messaging",
        "HELICONE_PROPAGATE_MESSAGING",
        _boolean,
        _check_boolean,
        "`false`",
        "Write the session into messages too (Celery, Kafka, …), so that it goes on in your workers.",
    ),
    Setting(
        "accept_inbound",
        "HELICONE_ACCEPT_INBOUND",
        _boolean,
        _check_boolean,
        "`false`",
        "Continue the session that a caller's `Helicone-Session-*` headers or its baggage name. Only behind your "
        "own services.",
    ),
    Setting(
        "application_spans",
        "HELICONE_APPLICATION_SPANS",
        _boolean,
        _check_boolean,
        "`true`",
        "The application's own INTERNAL spans are steps of the path.",
    ),
    Setting(
        "attributes",
        "HELICONE_ATTRIBUTES",
        _listed,
        _check_families,
        "`session,gen_ai,user,sdk`",
        "Which attributes are filled in beside `helicone.*`, for other backends: `session.id`, "
        "`gen_ai.conversation.id`, `user.id`, and by which else an SDK's own backend groups the SDK's spans "
        "(`langsmith.metadata.session_id`); `none` for none.",
    ),
    Setting(
        "capture_headers",
        "HELICONE_CAPTURE_HEADERS",
        _boolean,
        _check_boolean,
        "`false`",
        "Record the Helicone headers that left as `http.request.header.*` on the span that sent them.",
    ),
    Setting(
        "dialects",
        "HELICONE_DIALECTS",
        _dialects,
        _check_dialects,
        "",
        "Files (TOML or JSON) with dialects of your own, which are asked before ours.",
    ),
    Setting(
        "log",
        "HELICONE_LOG",
        _boolean,
        _check_boolean,
        "`false`",
        "Log to Helicone what no gateway saw: vector queries, tool calls, LLM calls that went elsewhere.",
    ),
    Setting(
        "api_key",
        "HELICONE_API_KEY",
        str,
        _check_secret,
        "",
        "The key with which rows are logged. By itself it sends nothing. It is shown nowhere.",
    ),
    Setting(
        "log_kinds",
        "HELICONE_LOG_KINDS",
        _listed,
        _check_kinds,
        "all of them",
        "Which kinds are logged: some of `llm`, `embedding`, `vector_db`, `tool`, `rerank`, `guardrail`, `data`.",
    ),
    Setting(
        "log_content",
        "HELICONE_LOG_CONTENT",
        _listed,
        _check_content,
        "`all`",
        "Which content stands in rows: `all`, `none`, `inputs`, `outputs`, or kinds: `llm,tool.inputs`.",
    ),
    Setting(
        "log_endpoint",
        "HELICONE_LOG_ENDPOINT",
        str,
        _check_endpoint,
        "`https://api.worker.helicone.ai`; `https://api.eu.helicone.ai` for European keys",
        "Where rows go, without `/custom/v1/log`.",
    ),
    Setting(
        "api_endpoint",
        "HELICONE_API_ENDPOINT",
        str,
        _check_endpoint,
        "`https://api.helicone.ai`; `https://eu.api.helicone.ai` for European keys; the host of a log of your own",
        "Where `feedback()` goes, and where `doctor --send` reads back.",
    ),
    Setting(
        "log_http_hosts",
        "HELICONE_LOG_HTTP_HOSTS",
        _listed,
        _check_hosts,
        "",
        "Hosts to which rows and the key may go by `http://`, beside this machine.",
    ),
)


_FIELDS: Final = tuple(setting.field for setting in SETTINGS)
Settings._compared = Settings._hashed = _FIELDS
Settings._printed = tuple(name for name in _FIELDS if name != "api_key")


def render_table() -> str:
    """Return the settings as a Markdown table, for the README and `helicone-otel env`."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in SETTINGS]
    return "\n".join(lines)
