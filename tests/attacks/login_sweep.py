"""Tries the telnet port of many hosts, as a worm does that looks for the next one.

The hosts are neighbours in a random part of the loopback network, where nobody listens.
ATT&CK T1021, T1046, T1018. Cleanup: none needed.
"""

from __future__ import annotations

import contextlib
import socket

from vedette_dev.stage import Stage

TECHNIQUE = "T1021"
EXPECTS = ("attack.t1021", "attack.t1046", "attack.t1018")
NEEDS_ROOT = "refused connections are gone before /proc/net can be read"
HOSTS = 90


def act(stage: Stage) -> str:
    network = stage.loopback().rpartition(".")[0] + "."
    port = stage.random.choice((23, 2323))
    stage.begin()
    for host in stage.random.sample(range(1, 255), HOSTS):
        with contextlib.suppress(OSError), socket.socket() as prober:
            prober.settimeout(0.2)
            prober.connect((f"{network}{host}", port))
    return network
