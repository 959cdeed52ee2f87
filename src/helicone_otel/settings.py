"""The settings: one table, from which the parser, `helicone-otel env` and the documentation's table are made.

What an `OTEL_*` variable sets already has no setting here. A value comes from the environment, else from a
configuration file of OpenTelemetry, else it is the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .destinations import HELICONE_DOMAINS, NO_HOSTS, HostList
from .sessions.model import SessionPath
from .values import Value
from .wire import MAX_PROPERTIES, REQUEST_KINDS, is_blank, is_property_name

if TYPE_CHECKING:
    from .spans.schema import Dialect

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_FALLBACKS: Final = ("trace", "none")
_PLUMBING: Final = ("skip", "keep")
# The families of attributes that are added for other backends.
_FAMILIES: Final = ("session", "gen_ai", "user", "sdk")
_SIDES: Final[tuple[str, ...]] = ("inputs", "outputs")


class SettingsError(ValueError):
    """A setting has a value that cannot be used.

        try:
            settings = Settings.from_environment()
        except SettingsError as error:
            print(error)

    The message names the setting and says which values can be used.
    """


class Setting:
    """One row of the table of settings.

    Attributes:
        field: The name of the field of `Settings`.
        variable: The name of the environment variable.
        parse: Makes a value from the text of the variable.
        check: Raises an error if a value cannot be used.
        default: The default as the documentation shows it.
        meaning: What the setting does, as the documentation shows it.
    """

    __slots__ = ("check", "default", "field", "meaning", "parse", "variable")

    def __init__(
        self,
        field: str,
        variable: str,
        parse: Callable[[str], Any],
        check: Callable[[Any], None],
        default: str,
        meaning: str,
    ) -> None:
        self.field = field
        self.variable = variable
        self.parse = parse
        self.check = check
        self.default = default
        self.meaning = meaning


# --- from text to a value -------------------------------------------------------------------------


def _boolean(text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r:.60} is neither true nor false")


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry for part in text.split(",") if (entry := part.strip()))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r:.60} is not a number") from None


def _dialects(text: str) -> tuple[Dialect, ...]:
    # It takes time to load, and most apps have no dialect of their own.
    from .spans.custom import read_dialects  # noqa: PLC0415

    return tuple(dialect for path in _list(text) for dialect in read_dialects(Path(path).expanduser()))


def named_attributes(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the property's name and the attribute of each entry `name=attribute`.

    Raises:
        ValueError: An entry has another form, or its name cannot be part of a header's name.
    """
    for entry in entries:
        name, equals, attribute = (part.strip() for part in entry.partition("="))
        if not equals or not attribute or not is_property_name(name):
            raise ValueError(f"{entry!r:.60} is not <property>=<attribute>, as in 'Plan=app.plan'")
        yield name, attribute


def content_of(entries: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the kinds whose content rows may hold: those with `inputs`, and those with `outputs`.

    Args:
        entries: Each is `all`, `none`, `inputs`, `outputs`, a kind, or one side of a kind, as in `tool.outputs`.

    Raises:
        ValueError: An entry is none of these.
    """
    allowed: dict[str, frozenset[str]] = {side: frozenset() for side in _SIDES}
    for entry in entries:
        kinds, sides = _content_allowed_by(entry)
        for side in sides:
            allowed[side] |= kinds
    return allowed


def _content_allowed_by(entry: str) -> tuple[frozenset[str], tuple[str, ...]]:
    kind, _, side = entry.rpartition(".")
    if entry in {"all", "none"}:
        return (REQUEST_KINDS if entry == "all" else frozenset()), _SIDES
    if side in _SIDES and (not kind or kind in REQUEST_KINDS):
        return (frozenset({kind}) if kind else REQUEST_KINDS), (side,)
    if entry in REQUEST_KINDS:
        return frozenset({entry}), _SIDES
    raise ValueError(f"expected all, none, inputs, outputs, or kinds such as tool or tool.inputs, got {entry!r:.60}")


# --- which values can be used ---------------------------------------------------------------------


def _check_text(value: object) -> None:
    if value is not None and (not isinstance(value, str) or is_blank(value)):
        raise ValueError(f"expected a text that is not blank, got {value!r:.60}")


def _check_secret(value: object) -> None:
    # The message does not show the value.
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError("expected a text that is not blank")


def _check_boolean(value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"expected True or False, got {value!r:.60}")


def _check_ratio(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number from 0 to 1, got {value!r:.60}")
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {value!r:.60}")


def _check_fallback(value: object) -> None:
    if value not in _FALLBACKS:
        raise ValueError(f"expected one of {', '.join(_FALLBACKS)}, got {value!r:.60}")


def _check_plumbing(value: object) -> None:
    if value not in _PLUMBING:
        raise ValueError(f"expected one of {', '.join(_PLUMBING)}, got {value!r:.60}")


def _check_path(value: str) -> None:
    SessionPath(value)


def _check_names(value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError(f"expected a tuple of names, got {value!r:.60}")


def _check_hosts(value: tuple[str, ...]) -> None:
    _check_names(value)
    HostList(value)


def _check_hosts_or_none(value: tuple[str, ...]) -> None:
    _check_names(value)
    HostList(entry for entry in value if entry != NO_HOSTS)


def _check_properties(value: tuple[str, ...]) -> None:
    _check_names(value)
    properties = dict(named_attributes(value))
    if len(properties) > MAX_PROPERTIES:
        raise ValueError(f"expected at most {MAX_PROPERTIES} properties, got {len(properties)}")


def _check_families(value: tuple[str, ...]) -> None:
    _check_names(value)
    unknown = sorted(set(value) - set(_FAMILIES) - {"none"})
    if unknown:
        raise ValueError(f"expected some of {', '.join(_FAMILIES)} or none, got {unknown[0]!r:.60}")


def _check_kinds(value: tuple[str, ...]) -> None:
    _check_names(value)
    unknown = sorted(set(value) - REQUEST_KINDS)
    if unknown:
        raise ValueError(f"expected some of {', '.join(sorted(REQUEST_KINDS))}, got {unknown[0]!r:.60}")


def _check_content(value: tuple[str, ...]) -> None:
    _check_names(value)
    content_of(value)


def _check_endpoint(value: str | None) -> None:
    if value is not None:
        # It takes time to load, and an app that logs nothing does not need it.
        from .endpoints import checked_endpoint  # noqa: PLC0415

        checked_endpoint(value)


def _check_dialects(value: object) -> None:
    if value == ():
        return
    # These take time to load, and most apps have no dialect of their own.
    from .spans.custom import check_dialects  # noqa: PLC0415
    from .spans.schema import Dialect  # noqa: PLC0415

    if not isinstance(value, tuple) or not all(isinstance(dialect, Dialect) for dialect in value):
        raise TypeError(f"expected a tuple of Dialect, got {value!r:.60}")
    check_dialects(value)


# --- the table ------------------------------------------------------------------------------------

SETTINGS: Final = (
    Setting(
        "session_name",
        "HELICONE_SESSION_NAME",
        str,
        _check_text,
        "`service.namespace`, else `service.name`",
        "Name of sessions that have no name of their own. Services that share sessions must use the same name.",
    ),
    Setting(
        "session_id",
        "HELICONE_SESSION_ID",
        str,
        _check_text,
        "",
        "One session id for everything that the process does. Meant for scripts and batch jobs, never for servers.",
    ),
    Setting(
        "session_path",
        "HELICONE_SESSION_PATH",
        str,
        _check_path,
        "`/`",
        "Path at which a session begins, unless code opened it with `session()`.",
    ),
    Setting(
        "session_id_attributes",
        "HELICONE_SESSION_ID_ATTRIBUTES",
        _list,
        _check_names,
        "",
        "Span attributes that hold a session id, for instance `http.request.header.x_conversation_id`. They are "
        "read before those that the dialects know.",
    ),
    Setting(
        "session_name_attributes",
        "HELICONE_SESSION_NAME_ATTRIBUTES",
        _list,
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
        "`trace`: a trace without a session id is a session of its own. `none`: it belongs to no session.",
    ),
    Setting(
        "session_sampling_ratio",
        "HELICONE_SESSION_SAMPLING_RATIO",
        _number,
        _check_ratio,
        "`1`",
        "Share of sessions, from 0 to 1, that the sampler `OTEL_TRACES_SAMPLER=helicone_session` keeps if "
        "`OTEL_TRACES_SAMPLER_ARG` is not set. The Collector's configuration reads it, too.",
    ),
    Setting(
        "user_id_attributes",
        "HELICONE_USER_ID_ATTRIBUTES",
        _list,
        _check_names,
        "",
        "Span attributes that hold the user's id (`Helicone-User-Id`). They are read before those that the "
        "dialects know.",
    ),
    Setting(
        "property_attributes",
        "HELICONE_PROPERTY_ATTRIBUTES",
        _list,
        _check_properties,
        "",
        "Span attributes that become properties of the session. `Plan=app.plan` sends the value of `app.plan` as "
        "`Helicone-Property-Plan`.",
    ),
    Setting(
        "gateway_hosts",
        "HELICONE_GATEWAY_HOSTS",
        _list,
        _check_hosts,
        "",
        "More Helicone gateways, beside `*.helicone.ai` and `*.hconeai.com`: `host`, `host:port` or `.suffix`.",
    ),
    Setting(
        "propagate_hosts",
        "HELICONE_PROPAGATE_HOSTS",
        _list,
        _check_hosts,
        "",
        "Your own services, in which sessions continue: `host`, `host:port`, `.suffix`, or the name of a gRPC "
        "service (`shop.Search`).",
    ),
    Setting(
        "utf8_hosts",
        "HELICONE_UTF8_HOSTS",
        _list,
        _check_hosts_or_none,
        f"`{','.join(HELICONE_DOMAINS)}`",
        "Hosts to which ids and names are sent as UTF-8, because they read headers so: `host`, `host:port` or "
        "`.suffix`; `none` for no host. For all others, what is not ASCII is percent-encoded.",
    ),
    Setting(
        "propagate_messaging",
        "HELICONE_PROPAGATE_MESSAGING",
        _boolean,
        _check_boolean,
        "`false`",
        "Write session headers into messages, too (Celery, Kafka, …), so that sessions continue in your workers.",
    ),
    Setting(
        "accept_inbound",
        "HELICONE_ACCEPT_INBOUND",
        _boolean,
        _check_boolean,
        "`false`",
        "Continue the session that a caller names in `Helicone-Session-*` headers or in baggage. Only for "
        "services whose callers are all your own.",
    ),
    Setting(
        "application_spans",
        "HELICONE_APPLICATION_SPANS",
        _boolean,
        _check_boolean,
        "`true`",
        "Whether the spans that the application makes itself (kind INTERNAL) are steps of the path.",
    ),
    Setting(
        "plumbing",
        "HELICONE_PLUMBING",
        str.lower,
        _check_plumbing,
        "`skip`",
        "`skip`: classes that a framework puts between your steps (`RunnableSequence`) add no segment to the path, "
        "unless you gave them a name. `keep`: they do.",
    ),
    Setting(
        "attributes",
        "HELICONE_ATTRIBUTES",
        _list,
        _check_families,
        "`session,gen_ai,user,sdk`",
        "Which attributes are added for other backends, beside `helicone.*`: `session` adds `session.id`, "
        "`gen_ai` adds `gen_ai.conversation.id`, `user` adds `user.id`, and `sdk` adds the attribute by which an "
        "SDK's own backend groups the SDK's spans (`langsmith.metadata.session_id`). `none` adds none.",
    ),
    Setting(
        "capture_headers",
        "HELICONE_CAPTURE_HEADERS",
        _boolean,
        _check_boolean,
        "`false`",
        "Record the Helicone headers that a request carried, as `http.request.header.*` on the span that sent it.",
    ),
    Setting(
        "dialects",
        "HELICONE_DIALECTS",
        _dialects,
        _check_dialects,
        "",
        "Files (TOML or JSON) with your own dialects. Their rules are tried before ours.",
    ),
    Setting(
        "log",
        "HELICONE_LOG",
        _boolean,
        _check_boolean,
        "`false`",
        "Log each request that no gateway saw to Helicone: vector queries, tool calls, and LLM calls that went "
        "elsewhere.",
    ),
    Setting(
        "api_key",
        "HELICONE_API_KEY",
        str,
        _check_secret,
        "",
        "The Helicone key with which rows are logged. The key alone sends nothing. It is never shown.",
    ),
    Setting(
        "log_kinds",
        "HELICONE_LOG_KINDS",
        _list,
        _check_kinds,
        "all kinds",
        "The kinds of requests that are logged: some of `llm`, `embedding`, `vector_db`, `tool`, `rerank`, "
        "`guardrail`, `data`.",
    ),
    Setting(
        "log_content",
        "HELICONE_LOG_CONTENT",
        _list,
        _check_content,
        "`all`",
        "The content that rows may hold: `all`, `none`, `inputs`, `outputs`, or kinds with or without a side, as "
        "in `llm,tool.inputs`.",
    ),
    Setting(
        "log_endpoint",
        "HELICONE_LOG_ENDPOINT",
        str,
        _check_endpoint,
        "`https://api.worker.helicone.ai`, for the keys of each region",
        "The address to which rows are sent, without `/custom/v1/log`. For a Helicone of your own that has no worker, "
        "it ends with `/v1/trace`.",
    ),
    Setting(
        "api_endpoint",
        "HELICONE_API_ENDPOINT",
        str,
        _check_endpoint,
        "`https://api.helicone.ai`; `https://eu.api.helicone.ai` for European keys; with a log of your own, its host",
        "The address to which `feedback()` writes, and from which `doctor --send` reads.",
    ),
    Setting(
        "log_http_hosts",
        "HELICONE_LOG_HTTP_HOSTS",
        _list,
        _check_hosts,
        "",
        "Hosts to which rows and the key may be sent unencrypted (`http://`). This machine is always one of them.",
    ),
)


_FIELDS: Final = tuple(setting.field for setting in SETTINGS)
_LOG_FIELDS: Final = frozenset(
    {"log", "api_key", "log_kinds", "log_content", "log_endpoint", "api_endpoint", "log_http_hosts"}
)
# Where a value comes from.
ENVIRONMENT: Final = "environment"
CONFIGURATION_FILE: Final = "configuration file"
# Names that begin so look like settings. Others may belong to other software (HELICONE_API_BASE is LiteLLM's).
_PREFIXES: Final = ("HELICONE_SESSION_", "HELICONE_LOG_")
# `helicone-otel run` sets variables of this prefix for the app that it starts.
_RUN_PREFIX: Final = "HELICONE_RUN_"
_MIN_SIMILARITY: Final = 0.85
_HIDDEN: Final = "***"


def given_settings(environ: Mapping[str, str], options: Mapping[str, object]) -> Iterator[tuple[Setting, str, str]]:
    """Yield each setting that is set: with its text, and where it comes from. An empty text counts as not set.

    Args:
        environ: The environment variables.
        options: What a configuration file of OpenTelemetry says of us, by the fields of `Settings`.
    """
    for setting in SETTINGS:
        if text := environ.get(setting.variable, "").strip():
            yield setting, text, ENVIRONMENT
        elif text := _text_of(options.get(setting.field)):
            yield setting, text, CONFIGURATION_FILE


def _text_of(option: object) -> str:
    if option is None:
        return ""
    return ",".join(map(str, option)) if isinstance(option, list | tuple) else str(option).strip()


def is_of_log(setting: Setting) -> bool:
    """Tell whether a setting concerns only what is logged to Helicone. Without it, labels and headers are the same."""
    return setting.field in _LOG_FIELDS


def shown_value(setting: Setting, value: object) -> str:
    """Return the text of a value as its variable has it: without the key, empty if it is not set."""
    if value is None or value == ():
        return ""
    if setting.check is _check_secret:
        return _HIDDEN
    if isinstance(value, tuple):
        return ",".join(entry if isinstance(entry, str) else str(entry.name) for entry in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def misspelt_variables(environ: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that look like settings and are none: each with the setting that is probably meant, or nothing.

    Args:
        environ: The names of the environment variables.
    """
    ours = {setting.variable for setting in SETTINGS}
    # Each start of an app comes by here, so that the first test is a cheap one.
    for name in sorted(name for name in environ if name[:3].upper() == "HEL" and name not in ours):
        if name.startswith(_RUN_PREFIX):
            continue
        from difflib import get_close_matches  # noqa: PLC0415  # most environments have no such name

        similar = get_close_matches(name.upper(), ours, 1, _MIN_SIMILARITY)
        if similar or name.upper().startswith(_PREFIXES):
            yield name, similar[0] if similar else ""


def misspelt_text(name: str, meant: str) -> str:
    """Return what there is to say of a name that looks like a setting and is none."""
    return f"{name} is not a setting: nothing reads it." + (f" Did you mean {meant}?" if meant else "")


class Settings(Value):
    """All settings of the library, as an immutable value.

    Each field has an environment variable. `helicone-otel env` prints the variables with their meanings.

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
    utf8_hosts: tuple[str, ...]
    propagate_messaging: bool
    accept_inbound: bool
    application_spans: bool
    plumbing: str
    attributes: tuple[str, ...]
    capture_headers: bool
    dialects: tuple[Dialect, ...]
    log: bool
    api_key: str | None = field(repr=False)
    log_kinds: tuple[str, ...]
    log_content: tuple[str, ...]
    log_endpoint: str | None
    api_endpoint: str | None
    log_http_hosts: tuple[str, ...]

    _compared: ClassVar = _FIELDS
    _hashed: ClassVar = _FIELDS
    _printed: ClassVar = tuple(name for name in _FIELDS if name != "api_key")

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
        utf8_hosts: tuple[str, ...] = HELICONE_DOMAINS,
        propagate_messaging: bool = False,
        accept_inbound: bool = False,
        application_spans: bool = True,
        plumbing: str = "skip",
        attributes: tuple[str, ...] = _FAMILIES,
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
            if fields[setting.field] is _DEFAULTS[setting.field]:
                continue  # an app's start makes several of these, and need not check what cannot be wrong
            try:
                setting.check(fields[setting.field])
            except (TypeError, ValueError) as error:
                raise SettingsError(f"{setting.field} ({setting.variable}): {error}") from error

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
        *,
        log: bool = True,
    ) -> Settings:
        """Read the settings from environment variables. An empty variable counts as not set.

        Args:
            environ: The variables; the process's own if not given.
            options: Values for settings without a variable, by field: those of a configuration file.
            log: Whether to read the settings of the log, too. Without them, a bad value of theirs does no harm.

        Raises:
            SettingsError: A variable has a value that cannot be used. The message names the variable.
        """
        values: dict[str, Any] = {}
        for setting, text, _ in given_settings(os.environ if environ is None else environ, options or {}):
            if not log and is_of_log(setting):
                continue
            try:
                values[setting.field] = setting.parse(text)
            except ValueError as error:
                raise SettingsError(f"{setting.variable}: {error}") from error
        return cls(**values)

    def changed(self) -> str:
        """Return the settings that are not the defaults, as their variables and without the key."""
        return ", ".join(
            f"{setting.variable}={shown_value(setting, value)}"
            for setting in SETTINGS
            if (value := getattr(self, setting.field)) != _DEFAULTS[setting.field]
        )

    def without_log(self) -> Settings:
        """Return the settings of labels and headers alone, so that no key is in them."""
        return Settings(**{name: value for name, value in vars(self).items() if name not in _LOG_FIELDS})


def render_table() -> str:
    """Return the settings as a Markdown table, for the documentation and `helicone-otel env --markdown`."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in SETTINGS]
    return "\n".join(lines)


_DEFAULTS: Final[Mapping[str, object]] = Settings.__init__.__kwdefaults__ or {}
