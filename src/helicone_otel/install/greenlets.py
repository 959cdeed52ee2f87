"""Loads what sends rows as soon as gevent has patched the app, in the thread of the app.

gevent replaces the locks of imports, too. If one of our threads imported urllib3 while a greenlet does, and nothing
else went on in the app, gevent would end the greenlet's wait with `LoopExit`. eventlet leaves these locks alone.
"""

from __future__ import annotations

import _thread
from typing import Any

from ..failures import swallow
from ..log.delivery.client import load_sender
from ..log.delivery.threads import is_patched
from .imports import IMPORTS


def load_after_patch() -> None:
    """Load what sends rows when the app is patched, which may be now."""
    if is_patched(_thread.start_new_thread):
        load_sender()
    else:
        IMPORTS.call(_subscribe, "gevent.events")


def _subscribe(events: Any) -> None:
    # https://www.gevent.org/api/gevent.events.html
    if _notice not in events.subscribers:
        events.subscribers.append(_notice)


def _notice(event: object) -> None:
    if type(event).__name__ == "GeventDidPatchAllEvent":
        try:
            load_sender()
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the app's `patch_all`
            swallow("gevent", error)
