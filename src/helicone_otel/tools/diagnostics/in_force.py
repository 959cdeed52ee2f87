"""Which value each setting has in an environment, and where it comes from."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from ...settings import SETTINGS, Setting, Settings, SettingsError, given_settings, shown_value

DEFAULT: Final = "default"
_FILE: Final = "OTEL_CONFIG_FILE"
_DEFAULTS: Final = Settings()


@dataclass(frozen=True, slots=True)
class InForce:
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


def settings_in_force(environ: Mapping[str, str], options: Mapping[str, object]) -> Iterator[InForce]:
    """Yield all settings in the order of the table.

    Args:
        environ: The environment variables.
        options: What a configuration file says of us.
    """
    given = {setting.field: (text, source) for setting, text, source in given_settings(environ, options)}
    for setting in SETTINGS:
        text, source = given.get(setting.field, ("", DEFAULT))
        if source == DEFAULT:
            yield InForce(setting, shown_value(setting, getattr(_DEFAULTS, setting.field)), source)
        else:
            yield _given(setting, text, source)


def _given(setting: Setting, text: str, source: str) -> InForce:
    try:
        value = setting.parse(text)
        setting.check(value)
    except (TypeError, ValueError) as error:
        return InForce(setting, "", source, str(error))
    return InForce(setting, shown_value(setting, value), source)


def options_of_file(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the configuration file of OpenTelemetry says of us; nothing if there is no file, or no reader for it.

    Raises:
        SettingsError: The file cannot be read.
    """
    file = environ.get(_FILE, "").strip()
    if not file:
        return {}
    try:
        from opentelemetry.configuration.file import load_config_file  # noqa: PLC0415  # an extra of the SDK
    except ImportError:
        return {}
    try:
        with _no_log():
            instrumentation = load_config_file(file).instrumentation_development
    except Exception as error:
        raise SettingsError(f"{_FILE}: {os.path.basename(file)} cannot be read: {error}") from error  # noqa: PTH119
    instrumentations = instrumentation.python if instrumentation is not None else None
    return dict((instrumentations or {}).get("helicone") or {})


@contextmanager
def _no_log() -> Iterator[None]:
    """Log nothing while the block runs: the reader of the file logs what it raises."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
