"""Does the app start, with us in it?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

from ....settings import SETTINGS, Settings, SettingsError
from ..facts import DISABLED, Facts, Process
from ..gather import EXPORTERS, PROPAGATORS
from ..report import Finding, Level, ok, problem, unknown, warning

_PROPAGATORS: Final = "OTEL_PROPAGATORS"
_SDK_DISABLED: Final = "OTEL_SDK_DISABLED"
_NO_EXPORTER: Final = "none"
_MAX_LINES: Final = 4
# https://github.com/open-telemetry/opentelemetry-python-contrib/blob/main/opentelemetry-instrumentation/src/opentelemetry/instrumentation/auto_instrumentation/_load.py
_FAILED: Final = re.compile(r"Instrumenting of (\S+) failed")
TRY: Final = "opentelemetry-instrument python -c pass"
_ASK_IN_CODE: Final = "print(helicone_otel.doctor()) in your app shows what is the case there"


def propagators(facts: Facts) -> Iterator[Finding]:
    """An unknown name ends the process before its first line."""
    named = facts.listed(_PROPAGATORS)
    known = facts.installed.names.get(PROPAGATORS, frozenset())
    missing = [name for name in named if name not in known and name.lower() != "none"]
    if missing:
        rest = ",".join(name for name in named if name not in missing)
        yield problem(
            f"{_PROPAGATORS} names {_quoted(missing)}, which is not installed: the app would not even start.",
            f"export {_PROPAGATORS}={rest}" if rest else f"unset {_PROPAGATORS}",
        )


def sdk_disabled(facts: Facts) -> Iterator[Finding]:
    """With the SDK disabled there are no spans."""
    if facts.variable(_SDK_DISABLED).lower() == "true":
        yield problem(
            f"{_SDK_DISABLED}=true switches OpenTelemetry off: no spans, no labels.", f"unset {_SDK_DISABLED}"
        )


def settings(facts: Facts) -> Iterator[Finding]:
    """A bad value switches us off."""
    try:
        Settings.from_environment(facts.environ)
    except SettingsError as error:
        variable = re.search(r"HELICONE_[A-Z_]+", str(error))
        yield problem(
            f"A setting cannot be used, so helicone-otel would stay off: {error}",
            f"correct it or unset {variable[0]}" if variable else "helicone-otel env lists the settings",
        )
        return
    given = [row.variable for row in SETTINGS if facts.variable(row.variable)]
    yield ok(f"Settings: {', '.join(given)}." if given else "Settings: the defaults.")
    known = {row.variable for row in SETTINGS}
    for name in sorted(facts.environ):
        if name.startswith("HELICONE_SESSION_") and name not in known:
            yield warning(f"{name} is no setting: nothing reads it.", "helicone-otel env lists the settings")


def switched_off(facts: Facts) -> Iterator[Finding]:
    """The variable that disables instrumentations disables us as well."""
    disabled = facts.listed(DISABLED)
    if facts.process is None and {"helicone", "*"} & set(disabled):
        rest = ",".join(name for name in disabled if name not in ("helicone", "*"))
        yield problem(
            f"{DISABLED}={','.join(disabled)} switches helicone-otel off.",
            f"export {DISABLED}={rest}" if rest else f"unset {DISABLED}",
        )


def exporters(facts: Facts) -> Iterator[Finding]:
    """An unknown exporter costs the whole set-up, of whichever signal it is."""
    if facts.process is not None:
        return
    for signal, group in EXPORTERS.items():
        variable = f"OTEL_{signal}_EXPORTER"
        known = facts.installed.names.get(group, frozenset())
        missing = [name for name in facts.listed(variable) if name not in known and name != _NO_EXPORTER]
        if missing:
            yield problem(
                f"{variable} names {_quoted(missing)}, which is not installed: OpenTelemetry is not set up then.",
                f"export {variable}=otlp",
            )


def versions(facts: Facts) -> Iterator[Finding]:
    """Contrib packages pin each other with `==`; pip lets a broken set stand."""
    packages = facts.installed.packages
    unmet = [package for package in packages.values() if package.unmet]
    for package in unmet:
        text = f"{package.name} {package.version} needs {'; '.join(package.unmet)}."
        remedy = f"pip install --upgrade {package.name}"
        yield (problem if package.name == "helicone-otel" else warning)(text, remedy)
    sdk = packages.get("opentelemetry-sdk")
    if not unmet and sdk is not None:
        yield ok(
            f"Versions fit together (OpenTelemetry {sdk.version}, Python {'.'.join(map(str, sys.version_info[:3]))})."
        )


def copies(facts: Facts) -> Iterator[Finding]:
    """Two copies of OpenTelemetry on the path: the first wins, file by file."""
    for package in facts.installed.packages.values():
        if package.copies > 1 and package.name.startswith("opentelemetry-"):
            yield warning(
                f"{package.name} is on the path in {package.copies} versions; {package.version} is used.",
                'python -c "import sys; print(sys.path)" shows where from; keep one (PYTHONPATH?)',
            )


def probe_ran(facts: Facts) -> Iterator[Finding]:
    """Without the probe half of the questions stay open."""
    probe = facts.probe
    if probe is None or not probe.failure:
        return
    last = next((line for line in reversed(probe.log) if line.strip()), "")
    if last and cause(facts) is None:
        yield problem(f"A process started like your app died: {last}", TRY)
    elif not last:
        yield unknown(
            f"A process started like your app could not be looked into: {probe.failure}.",
            TRY,
        )


def pieces(facts: Facts) -> Iterator[Finding]:
    """Provider, processor, propagator, hooks."""
    process = facts.inside
    if process is None:
        return
    if not process.installed:
        yield from _not_installed(facts)
        return
    yield from _provider(facts, process)
    if process.injects:
        yield ok("The propagator is in, and so are the hooks in the HTTP transports.")
    else:
        yield problem(
            "The global propagator is not ours: something replaced it after helicone-otel came.",
            "call helicone_otel.configure() after it",
        )


def _not_installed(facts: Facts) -> Iterator[Finding]:
    if facts.process is not None:
        yield problem("helicone-otel is installed but not switched on in this process.", "helicone_otel.configure()")
    elif (failed := _failed(facts)) is not None:
        yield problem(
            f"helicone-otel did not come in: the instrumentation {failed} failed before its turn.",
            _without(failed, facts),
        )
    elif cause(facts) is None:
        yield problem("helicone-otel did not come in.", f"{TRY} shows why")


def _provider(facts: Facts, process: Process) -> Iterator[Finding]:
    if not process.records:
        if facts.process is not None:
            yield problem(
                f"The tracer provider ({process.provider}) makes no spans.",
                "trace.set_tracer_provider(TracerProvider()), or start the app with opentelemetry-instrument",
            )
        elif facts.installed.get("opentelemetry-distro") is None:
            yield problem(
                "opentelemetry-distro is not installed, so opentelemetry-instrument sets up nothing that makes spans.",
                'pip install "helicone-otel[run]"',
            )
        elif cause(facts) is None:
            yield problem(f"The tracer provider ({process.provider}) makes no spans.", _ASK_IN_CODE)
    elif process.labels:
        yield ok(f"The processor is on the tracer provider ({process.provider.rpartition('.')[2]}).")
    else:
        yield problem(
            f"Our processor is not on the tracer provider ({process.provider}).",
            "helicone_otel.configure(provider=your_provider)",
        )


def log(facts: Facts) -> Iterator[Finding]:
    """What the set-up wrote; of tracebacks their last line."""
    probe = facts.probe
    if probe is None or probe.failure or cause(facts):
        return
    if (failed := _failed(facts)) is not None:
        if facts.inside and facts.inside.installed:
            text = f"The instrumentation {failed} failed, so the ones after it did not get their turn."
            yield warning(text, _without(failed, facts))
        return
    said = [
        line
        for line in probe.log
        if line.strip() and not line.startswith((" ", "Traceback", "During handling", "The above"))
    ]
    for line in list(dict.fromkeys(said))[:_MAX_LINES]:
        if not line.startswith(("StopIteration", "helicone-otel is off")):
            yield warning(f"The set-up logged: {line}", f"OTEL_LOG_LEVEL=debug {TRY}")


def _failed(facts: Facts) -> str | None:
    """Return which instrumentation's failure ended the set-up: the launcher tries none after it."""
    found = (_FAILED.search(line) for line in (facts.probe.log if facts.probe else ()))
    return next((match[1] for match in found if match), None)


def _without(instrumentation: str, facts: Facts) -> str:
    return f"export {DISABLED}={','.join([*facts.listed(DISABLED), instrumentation])}"


def cause(facts: Facts) -> Finding | None:
    """Return the variable that explains why the start-up failed, if one does: the rest is what came of it."""
    findings = (
        finding for look in (propagators, sdk_disabled, settings, switched_off, exporters) for finding in look(facts)
    )
    return next((finding for finding in findings if finding.level is Level.PROBLEM), None)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
