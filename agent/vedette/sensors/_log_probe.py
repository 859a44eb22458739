"""Logs one line the way every program does: a datagram to /dev/log (syslog(3))."""

from __future__ import annotations

import os
import socket
from pathlib import Path

DEV_LOG = Path("/dev/log")

_PRIORITY = 8 * 1 + 7  # RFC 3164 4.1.1: user, debug
_TAG = "vedette"


def log(token: str) -> None:
    """Send a line with a token to whoever listens.

    Raises:
        OSError: nobody does.
    """
    line = f"<{_PRIORITY}>{_TAG}[{os.getpid()}]: self-test {token}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(line.encode("ascii"), os.fspath(DEV_LOG))
