"""`helicone-otel doctor` and `helicone_otel.doctor()`: why headers and rows would, or would not, leave.

Facts are gathered (`installed`, `inside`, and from outside an app `child` and `probe`), `checks` judge
them, the `report` is data, and `draw` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report


def doctor() -> Report:
    """Say why headers and spans leave this process, or why not, and what to do next.

    It looks at the app's own provider, propagator and settings as they are now, and sends nothing.
    `print(helicone_otel.doctor())` is the screen that `helicone-otel doctor` shows for an environment;
    `.as_data()` is what its `--json` prints, `.exit_code` what it exits with.
    """
    from .examine import examine_process  # noqa: PLC0415  # whatever costs time is imported when it is asked for

    return examine_process()
