"""Checks of the start-up: does the app start, and is helicone-otel switched on in it?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

from ....settings import Settings, SettingsError, misspelt_text, misspelt_variables
from ..facts import DISABLED, Facts, Process
from ..gather import EXPORTERS, PROPAGATORS
from ..report import Finding, Level, ok, problem, unknown, warning

_PROPAGATORS: Final = "OTEL_PROPAGATORS"
_SDK_DISABLED: Final = "OTEL_SDK_DISABLED"
NO_EXPORTER: Final = "none"
_MAX_LINES: Final = 4
KEYS: Final = "https://us.helicone.ai/settings/api-keys, or eu.helicone.ai for Europe"
# No example of a key: the report would mask it.
SET_KEY: Final = f"export HELICONE_API_KEY=…, a key from {KEYS}"
_LIST: Final = "helicone-otel env lists the settings, and shows those in force"
# Lines of the set-up that other checks have findings about.
_SAID_ALREADY: Final = re.compile(
    r"StopIteration|helicone-otel is off|helicone-otel logs nothing to Helicone|\w+ is not a setting: "
)
# What the launcher logs:
# https://github.com/open-telemetry/opentelemetry-python-contrib/blob/main/opentelemetry-instrumentation/src/opentelemetry/instrumentation/auto_instrumentation/_load.py
_FAILED: Final = re.compile(r"Instrumenting of (\S+) failed")
# Starts a process like the app, so that a person sees its errors.
START_COMMAND: Final = "opentelemetry-instrument python -c pass"
ADD_LAUNCHER: Final = 'for zero code: pip install "helicone-otel[run]"'
_CALL_DOCTOR: Final = "print(helicone_otel.doctor()) in your app shows the provider that it really has"


def propagators(facts: Facts) -> Iterator[Finding]:
    """Check `OTEL_PROPAGATORS`: an unknown name ends the app when it imports OpenTelemetry."""
    named = facts.listed(_PROPAGATORS)
    known = facts.installed.names.get(PROPAGATORS, frozenset())
    missing = [name for name in named if name not in known and name.lower() != "none"]
    if missing:
        yield problem(
            f"{_PROPAGATORS} names {_quoted(missing)}, which is not installed: the app would not start.",
            without_entries(_PROPAGATORS, named, *missing),
        )


def sdk_disabled(facts: Facts) -> Iterator[Finding]:
    """Check that OpenTelemetry's SDK is not switched off."""
    if facts.variable(_SDK_DISABLED).lower() == "true":
        yield problem(
            f"{_SDK_DISABLED}=true switches OpenTelemetry off: no spans, no labels.", f"unset {_SDK_DISABLED}"
        )


def settings(facts: Facts) -> Iterator[Finding]:
    """Show the settings: a bad value switches helicone-otel off, and a misspelt variable has no effect."""
    if facts.options_error:
        yield problem(f"OpenTelemetry would not be set up: {facts.options_error}", "correct the file")
        return
    try:
        in_force = _settings(facts)
    except SettingsError as error:
        yield problem(f"A setting cannot be used, so helicone-otel would stay off: {error}", _correct(error))
        return
    shown = facts.process.settings if facts.process is not None else in_force.changed()
    yield ok(f"Settings: {shown}." if shown else "Settings: the defaults.")
    for name, meant in misspelt_variables(facts.environ):
        yield warning(misspelt_text(name, meant), _LIST)


def log_settings(facts: Facts) -> Iterator[Finding]:
    """Check the settings of the log: a bad value switches the log off, and nothing else."""
    try:
        _settings(facts)
    except SettingsError:  # the check before has a finding about it
        return
    try:
        in_force = Settings.from_environment(facts.environ, facts.options)
        # In a running app, the code may have given the key.
        if in_force.log and facts.process is None:
            if in_force.api_key is None:
                text = "HELICONE_LOG is on and HELICONE_API_KEY is not set, so nothing would be logged to Helicone."
                yield problem(text, SET_KEY)
            else:
                _check_row_address(in_force)
    except SettingsError as error:
        yield problem(f"A setting cannot be used, so nothing would be logged to Helicone: {error}", _correct(error))


def _check_row_address(settings: Settings) -> None:
    from ....log.exporter import row_address  # noqa: PLC0415  # `doctor()` must not load it in an app that logs nothing

    row_address(settings)


def _settings(facts: Facts) -> Settings:
    """Return the settings of an environment; if one of the log is bad, without those of the log.

    Raises:
        SettingsError: Another one is bad.
    """
    try:
        return Settings.from_environment(facts.environ, facts.options)
    except SettingsError:
        return Settings.from_environment(facts.environ, facts.options, log=False)


def _correct(error: SettingsError) -> str:
    variable = re.search(r"HELICONE_[A-Z_]+", str(error))
    return f"correct it or unset {variable[0]}" if variable else _LIST


def switched_off(facts: Facts) -> Iterator[Finding]:
    """Check that the variable that switches instrumentations off does not name helicone-otel."""
    disabled = facts.listed(DISABLED)
    if facts.process is None and {"helicone", "*"} & set(disabled):
        yield problem(
            f"{DISABLED}={','.join(disabled)} switches helicone-otel off.",
            without_entries(DISABLED, disabled, "helicone", "*"),
        )


def exporters(facts: Facts) -> Iterator[Finding]:
    """Check the names of exporters: an unknown name of any signal stops the set-up of OpenTelemetry."""
    if facts.process is not None:
        return
    for signal, group in EXPORTERS.items():
        variable = f"OTEL_{signal}_EXPORTER"
        known = facts.installed.names.get(group, frozenset())
        missing = [name for name in facts.listed(variable) if name not in known and name != NO_EXPORTER]
        if missing:
            yield problem(
                f"{variable} names {_quoted(missing)}, which is not installed: OpenTelemetry would not be set up.",
                f"export {variable}=otlp",
            )


def versions(facts: Facts) -> Iterator[Finding]:
    """Check that versions fit together: OpenTelemetry's packages pin each other, and pip only warns of conflicts."""
    packages = facts.installed.packages
    unmet = [package for package in packages.values() if package.unmet]
    for package in unmet:
        text = f"{package.name} {package.version} needs {'; '.join(package.unmet)}."
        remedy = f"pip install --upgrade {package.name}"
        yield (problem if package.name == "helicone-otel" else warning)(text, remedy)
    sdk = packages.get("opentelemetry-sdk")
    if not unmet and sdk is not None:
        python = ".".join(map(str, sys.version_info[:3]))
        yield ok(f"The versions fit together (OpenTelemetry {sdk.version}, Python {python}).")


def copies(facts: Facts) -> Iterator[Finding]:
    """Check that no package of OpenTelemetry is on Python's path twice: files of both versions would mix."""
    for package in facts.installed.packages.values():
        if package.copies > 1 and package.name.startswith("opentelemetry-"):
            yield warning(
                f"{package.name} is on the path in {package.copies} versions; {package.version} is used.",
                'python -c "import sys; print(sys.path)" shows the path; keep one version (check PYTHONPATH)',
            )


def probe_ran(facts: Facts) -> Iterator[Finding]:
    """Check that the probe ran."""
    probe = facts.probe
    if probe is None or not probe.failure:
        return
    if probe.slow:
        yield unknown(
            f"A process started like your app could not be inspected: {probe.failure}.",
            "try again when the machine is less busy",
        )
        return
    last = next((line for line in reversed(probe.log) if line.strip()), "")
    if last and cause(facts) is None:
        yield problem(f"A process started like your app died: {last}", START_COMMAND)
    elif not last:
        yield unknown(
            f"A process started like your app could not be inspected: {probe.failure}.",
            START_COMMAND,
        )


def pieces(facts: Facts) -> Iterator[Finding]:
    """Check that helicone-otel is switched on: its processor, its propagator, its hooks in the HTTP clients."""
    process = facts.inside
    if process is None:
        return
    if not process.installed:
        yield from _not_installed(facts)
        return
    yield from _provider(facts, process)
    if process.injects:
        yield ok("The propagator is installed, and so are the hooks in the HTTP clients.")
    else:
        yield problem(
            "The global propagator is not helicone-otel's: something replaced it after helicone-otel was set up.",
            "call helicone_otel.configure() after that",
        )


def _not_installed(facts: Facts) -> Iterator[Finding]:
    if facts.process is not None:
        yield problem("helicone-otel is installed but not switched on in this process.", "helicone_otel.configure()")
    elif (failed := _failed(facts)) is not None:
        yield problem(
            f"helicone-otel was not switched on: the instrumentation {failed} failed before it.",
            _without(failed, facts),
        )
    elif cause(facts) is None:
        yield problem("helicone-otel was not switched on.", f"{START_COMMAND} shows why")


def _provider(facts: Facts, process: Process) -> Iterator[Finding]:
    if not process.records:
        if facts.process is not None:
            yield problem(
                f"The tracer provider ({process.provider}) makes no spans.",
                "trace.set_tracer_provider(TracerProvider()), or start the app with opentelemetry-instrument",
            )
        elif has_no_launcher(facts):
            yield warning(
                "There is no launcher here (opentelemetry-distro is not installed): only code that calls configure() "
                "or session() gets headers.",
                ADD_LAUNCHER,
            )
        elif cause(facts) is None:
            yield problem(f"The tracer provider ({process.provider}) makes no spans.", _CALL_DOCTOR)
    elif process.labels:
        yield ok(f"The processor is on the tracer provider ({process.provider.rpartition('.')[2]}).")
    else:
        yield problem(
            f"The processor is not on the tracer provider ({process.provider}).",
            "helicone_otel.configure(provider=your_provider)",
        )


def has_no_launcher(facts: Facts) -> bool:
    """Tell whether `opentelemetry-instrument` sets up no provider here, so that the probe says nothing of an app."""
    made = facts.probe is not None and facts.probe.process is not None and facts.probe.process.records
    return facts.process is None and not made and facts.installed.get("opentelemetry-distro") is None


def log(facts: Facts) -> Iterator[Finding]:
    """Show what the set-up logged; of a traceback, only the last line."""
    probe = facts.probe
    if probe is None or probe.failure or cause(facts):
        return
    if (failed := _failed(facts)) is not None:
        if facts.inside and facts.inside.installed:
            text = f"The instrumentation {failed} failed, so those after it were not switched on."
            yield warning(text, _without(failed, facts))
        return
    logged = [
        line
        for line in probe.log
        if line.strip() and not line.startswith((" ", "Traceback", "During handling", "The above"))
    ]
    for line in list(dict.fromkeys(logged))[:_MAX_LINES]:
        if not _SAID_ALREADY.match(line):
            yield warning(f"The set-up logged: {line}", f"OTEL_LOG_LEVEL=debug {START_COMMAND}")


def _failed(facts: Facts) -> str | None:
    """Return the instrumentation whose failure ended the set-up; the launcher starts none after it."""
    matches = (_FAILED.search(line) for line in (facts.probe.log if facts.probe else ()))
    return next((match[1] for match in matches if match), None)


def _without(instrumentation: str, facts: Facts) -> str:
    return f"export {DISABLED}={','.join([*facts.listed(DISABLED), instrumentation])}"


def cause(facts: Facts) -> Finding | None:
    """Return the finding about the variable that made the start-up fail; other problems are its effects."""
    findings = (
        finding for check in (propagators, sdk_disabled, settings, switched_off, exporters) for finding in check(facts)
    )
    return next((finding for finding in findings if finding.level is Level.PROBLEM), None)


def without_entries(variable: str, entries: list[str], *removed: str) -> str:
    """Return the command that removes entries from a variable that holds a list."""
    rest = ",".join(entry for entry in entries if entry not in removed)
    return f"export {variable}={rest}" if rest else f"unset {variable}"


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
