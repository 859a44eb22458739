"""The agent's units on a booted guest: waits until they are where a test or a figure begins.

Rule: a start that is under way is joined; asking whether it is over would take its processor.
"""

from __future__ import annotations

from vedette.errors import DeviceError
from vedette_dev.guests import Guest

AGENT, UPLINK = "vedette.service", "vedette-uplink.service"
UPDATE = "vedette-update.service"
READY_S = 240.0


def await_agent(guest: Guest) -> None:
    """Wait until agent and uplink say that they are ready.

    Raises:
        DeviceError: they do not; what they said stands in it.
    """
    ended = guest.run(f"systemctl start {AGENT} {UPLINK}", deadline_s=READY_S)
    if ended.code:
        said = guest.run(f"systemctl status {AGENT}; journalctl -u 'vedette*' | tail -n 40")
        raise DeviceError(f"the agent is not ready after {READY_S:g} s:\n{said.output}")


def begin_update(guest: Guest) -> None:
    """Have it look for releases now; nothing waits for that: the device may start anew in it.

    Raises:
        DeviceError: it cannot be told.
    """
    guest.check("systemd-run --quiet --no-block vedette update run --now")


def await_update(guest: Guest) -> None:
    """Wait until the look for releases at the agent's start is over: there is one at a time.

    Raises:
        DeviceError: it is not.
    """
    # systemctl(1): `show -P` prints a property's value; times are microseconds since the boot.
    guest.await_true(
        f"[ $(systemctl show {UPDATE} -P ExecMainExitTimestampMonotonic) -gt "
        f"$(systemctl show {AGENT} -P InactiveExitTimestampMonotonic) ] && "
        f"[ $(systemctl show {UPDATE} -P ActiveState) = inactive ]",
        READY_S,
    )
