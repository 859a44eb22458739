"""Tries many ports of one host: a random address of the loopback network, where nobody listens.

ATT&CK T1046.
"""

from __future__ import annotations

import sys

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1046"
EXPECTS = ("attack.t1046",)
NEEDS_ROOT = "refused connections are gone before /proc/net can be read"
ANSWER_NEEDS_TIER = ("network", "ebpf", "conntrack")

PORTS = 120
_SWEEP = f"""
import socket, sys, time
for port in sys.argv[3:]:
    prober = socket.socket()
    prober.connect_ex((sys.argv[2], int(port)))
    prober.close()
time.sleep({LINGER_S})
"""


def act(stage: Stage) -> str:
    address = stage.loopback()
    ports = stage.random.sample(range(1024, 32768), PORTS)
    stage.begin()
    stage.start([sys.executable, "-ISc", _SWEEP, stage.word(), address, *map(str, ports)])
    return address
