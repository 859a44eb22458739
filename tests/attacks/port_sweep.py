"""Tries many ports of one host: a random address of the loopback network, where nobody listens.

ATT&CK T1046.
"""

from __future__ import annotations

import contextlib
import socket

from vedette_dev.stage import Stage

TECHNIQUE = "T1046"
EXPECTS = ("attack.t1046",)
NEEDS_ROOT = "refused connections are gone before /proc/net can be read"

PORTS = 120


def act(stage: Stage) -> str:
    address = stage.loopback()
    ports = stage.random.sample(range(1024, 32768), PORTS)
    stage.begin()
    for port in ports:
        with contextlib.suppress(OSError), socket.socket() as prober:
            prober.settimeout(0.2)
            prober.connect((address, port))
    return address
