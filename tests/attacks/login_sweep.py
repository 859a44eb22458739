"""Tries the telnet port of many hosts, as a worm does that looks for the next one.

The hosts are neighbours in a random part of the loopback network, where nobody listens.
ATT&CK T1021, T1046, T1018. Cleanup: none needed.
"""

from __future__ import annotations

import sys

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1021"
EXPECTS = ("attack.t1021", "attack.t1046", "attack.t1018")
NEEDS_ROOT = "refused connections are gone before /proc/net can be read"
ANSWER_NEEDS_TIER = ("network", "ebpf", "conntrack")
HOSTS = 90
_SWEEP = f"""
import socket, sys, time
for end in sys.argv[3:]:
    prober = socket.socket()
    prober.connect_ex((end, int(sys.argv[2])))
    prober.close()
time.sleep({LINGER_S})
"""


def act(stage: Stage) -> str:
    network = stage.loopback().rpartition(".")[0] + "."
    port = stage.random.choice((23, 2323))
    stage.begin()
    ends = (f"{network}{end}" for end in stage.random.sample(range(1, 255), HOSTS))
    stage.start([sys.executable, "-ISc", _SWEEP, stage.word(), str(port), *ends])
    return network
