"""`helicone-otel doctor` and `helicone_otel.doctor()`: why headers and rows leave, or do not leave.

`gather` finds out what is installed, inspects a process, and looks where its spans would go. From outside an app,
`probe` starts a process that is set up like the app, and records its calls. `checks` judge these `facts`, and `report`
holds the findings as data and prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report


def doctor() -> Report:
    """Return why headers and spans leave this process, or why they do not, and what to do next.

        print(doctor())

    It inspects the provider, the propagator and the settings of the running app, and sends nothing.
    `print(helicone_otel.doctor())` prints what `helicone-otel doctor` prints for an environment. `.as_data()` is the
    data of its `--json`, `.exit_code` its exit code.
    """
    from .checks import examine_process  # noqa: PLC0415  # loading it costs time, which only users of doctor() pay

    return examine_process()
