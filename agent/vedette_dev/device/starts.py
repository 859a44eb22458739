"""Starts a device from a disk that a power cut left: it must watch, sign and be heard again.

Rule 1: a device that stands still before its watchdog is armed (guests/stillness.py) is told with
its console, started once again from the same disk, and counted; where it stands still again, the
cut has made it a brick.
Rule 2: nothing else is tried twice, but for what a device does by itself: it restarts where an
update goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from vedette.errors import DeviceError
from vedette_dev.device import suspicion
from vedette_dev.device.ledger import Start
from vedette_dev.device.services import await_agent
from vedette_dev.guests import Guest, StandsStillError
from vedette_dev.player import Arrivals

LAUNCHES = 6
"""Three tries of a firmware, one start of the old one, and some to spare."""
BOOT_S = 480.0
"""Of a device that moves; one that does not is given up after STILL_S."""
STILL_S = 120.0
"""At a load of 12 on two cores, starts from power to "heard" took 60 to 190 s (2026-11-22)."""
HEARD_S = 240.0


def start(guest: Guest, arrivals: Arrivals, place_disk: Callable[[], None]) -> Start:
    """Start a device until it was heard; it runs on where it was.

    Args:
        guest: entered, not started.
        arrivals: what comes from now on.
        place_disk: gives it the disk that the cut left; called before each try.
    """
    began_s = time.monotonic()
    silent: list[str] = []
    while True:
        place_disk()
        try:
            wrong = _what_is_wrong(guest, arrivals)
        except StandsStillError as error:
            silent.append(str(error.place))
            wrong = str(error)
            if len(silent) == 1:
                guest.power_off()
                continue
        return Start(wrong, tuple(silent), round(time.monotonic() - began_s))


def _what_is_wrong(guest: Guest, arrivals: Arrivals) -> str:
    """Start until its agent was heard; it may restart by itself where an update goes on."""
    wrong = ""
    for _ in range(LAUNCHES):
        try:
            guest.launch()
            guest.await_life(BOOT_S, STILL_S)
            await_agent(guest)
            word = suspicion.new_word()
            guest.check(suspicion.command(word))
            is_heard = arrivals.wait_for(partial(suspicion.is_told, word), HEARD_S) is not None
        except StandsStillError:
            raise
        except DeviceError as error:
            wrong = str(error)
        else:
            wrong = "" if is_heard else f"started, and not heard of within {HEARD_S:g} s"
        if guest.is_running or not wrong:
            return wrong
    return f"it started {LAUNCHES} times and never stayed: {wrong}"
