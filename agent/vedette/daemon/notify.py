"""Tells the service manager how the agent is: the datagrams of sd_notify(3).

Rule 1: without NOTIFY_SOCKET every call is a no-op, so callers need not ask who started them.
Rule 2: a service manager that does not listen never stops or delays the agent: sending does not
block, and each call says whether it was told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

MAX_STATUS = 200


class Notifier:
    """The line to the service manager.

    Args:
        environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read from it.

    Attributes:
        watchdog_period_s: seconds between calls of `watchdog`, half of what the manager grants, as
            sd_watchdog_enabled(3) asks; 0.0 where it grants nothing.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = _address(given.get("NOTIFY_SOCKET", ""))
        self.watchdog_period_s = _watchdog_period_s(given)

    def ready(self, status: str = "") -> bool:
        """Started, or reloaded, and watching."""
        return self._send("READY=1", status)

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send("", status)

    def watchdog(self) -> bool:
        """Alive; to be called every `watchdog_period_s`."""
        return self._send("WATCHDOG=1")

    def allow(self, within_s: float) -> bool:
        """Ask for so many seconds between signs of life from now on; this is the first one.

        Nothing is asked of a manager that does not watch: it would begin to (sd_notify(3)).
        """
        if not self.watchdog_period_s:
            return False
        return self._send(f"WATCHDOG_USEC={round(within_s * 1_000_000)}\nWATCHDOG=1")

    def reloading(self) -> bool:
        """The configuration is read again; `ready` ends it (Type=notify-reload needs the time)."""
        now_us = time.monotonic_ns() // 1000
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self, status: str = "") -> bool:
        """The agent is about to end in good order."""
        return self._send("STOPPING=1", status)

    def _send(self, words: str, status: str = "") -> bool:
        if not self._address:
            return False
        lines = [words] if words else []
        if status:
            lines.append("STATUS=" + " ".join(status.split())[:MAX_STATUS])
        message = "\n".join(lines).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.connect(self._address)
                return out.send(message) == len(message)
        except OSError:
            return False


def _address(name: str) -> str:
    """The socket's address: a path, or an abstract name written with a leading @ (unix(7))."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def _watchdog_period_s(given: Mapping[str, str]) -> float:
    granted = given.get("WATCHDOG_USEC", "")
    meant_for = given.get("WATCHDOG_PID", "")
    if not granted.isascii() or not granted.isdigit() or len(granted) > 15:  # noqa: PLR2004 (30 years)
        return 0.0
    if meant_for and meant_for != str(os.getpid()):
        return 0.0
    return int(granted) / 2_000_000
