"""`helicone-otel env`: print the settings that are in force here, and where each comes from."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector

from ...settings import (
    SETTINGS,
    Setting,
    Settings,
    SettingsError,
    given_settings,
    misspelt_text,
    misspelt_variables,
    render_table,
    shown_value,
)
from ..diagnostics.facts import CONFIG_FILE
from ..redaction import Redaction
from ..terminal import visible

_NOT_SET: Final = "(not set)"
_DEFAULT: Final = "default"
_DEFAULTS: Final = Settings()


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel env`."""
    parser.description = (
        "Print the settings that are in force in this environment, and where each comes from: the environment, a "
        "configuration file of OpenTelemetry (OTEL_CONFIG_FILE), or the default. Keys are masked. Names that look like "
        "settings and are none follow."
    )
    parser.epilog = "Exit code: 0, or 2 if a value cannot be used."
    parser.add_argument(
        "--markdown", action="store_true", help="print all settings with their defaults and meanings, as a table"
    )
    parser.set_defaults(main=env)


def _options_of_file() -> Mapping[str, object]:
    # Loads the SDK, which few who print their settings need.
    from ..diagnostics.gather import options_of_file  # noqa: PLC0415

    return options_of_file(os.environ)


@dataclass(frozen=True, slots=True)
class _InForce:
    """One setting as it is in force.

    Attributes:
        setting: The row of the table of settings.
        value: Its value as a text: `***` for a key, empty if it is not set.
        source: Where the value comes from: `environment`, `configuration file` or `default`.
        error: Why the value cannot be used; empty if it can.
    """

    setting: Setting
    value: str
    source: str
    error: str = ""


def env(given: Namespace) -> int:
    """Print the settings.

    Args:
        given: The parsed arguments.

    Returns:
        The exit code: 0, or 2 if a value cannot be used.
    """
    if given.markdown:
        print(render_table())
        return 0
    errors: list[str] = []
    try:
        options = _options_of_file() if CONFIG_FILE in os.environ else {}
    except SettingsError as error:
        options = {}
        errors.append(str(error))
    settings = list(_settings_in_force(os.environ, options))
    errors += [f"{each.setting.variable}: {each.error}" for each in settings if each.error]
    hide = Redaction(os.environ)
    print("\n".join(visible(hide(line)) for line in _lines(settings)))
    sys.stdout.flush()
    for message in errors:
        print(f"helicone-otel env: {visible(hide(message))}", file=sys.stderr)
    return 2 if errors else 0


def _settings_in_force(environ: Mapping[str, str], options: Mapping[str, object]) -> Iterator[_InForce]:
    """Yield all settings in the order of the table.

    Args:
        environ: The environment variables.
        options: What a configuration file says of us.
    """
    given = {setting.field: (text, source) for setting, text, source in given_settings(environ, options)}
    for setting in SETTINGS:
        text, source = given.get(setting.field, ("", _DEFAULT))
        if source == _DEFAULT:
            yield _InForce(setting, shown_value(setting, getattr(_DEFAULTS, setting.field)), source)
        else:
            yield _given(setting, text, source)


def _given(setting: Setting, text: str, source: str) -> _InForce:
    try:
        value = setting.parse(text)
        setting.check(value)
    except (TypeError, ValueError) as error:
        return _InForce(setting, "", source, str(error))
    return _InForce(setting, shown_value(setting, value), source)


def _lines(settings: Sequence[_InForce]) -> Iterator[str]:
    names = max(len(each.setting.variable) for each in settings)
    sources = max(len(each.source) for each in settings)
    for each in settings:
        yield f"{each.setting.variable:{names}}  {each.source:{sources}}  {_value(each)}"
    if misspelt := [misspelt_text(name, meant) for name, meant in misspelt_variables(os.environ)]:
        yield from ("", *misspelt)


def _value(each: _InForce) -> str:
    if each.error:
        return "(cannot be used)"
    if each.value:
        return each.value
    if each.setting.field == "session_name" and (service := _service()):
        return service
    # The default of a setting without a value says in Markdown what holds then.
    return each.setting.default.replace("`", "") or _NOT_SET


def _service() -> str:
    """Return the name that sessions get from the service, if the environment names one."""
    attributes = OTELResourceDetector().detect().attributes
    name = next((name for name in ("service.namespace", "service.name") if attributes.get(name)), None)
    return f"{attributes[name]!s} ({name})" if name else ""
