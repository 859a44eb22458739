"""Guesses passwords until one is right: connections from one host, and what the log says of them.

The host is a neighbour on a cable of its own, the login service a listener of ours that asks for
nothing; the lines are written to the log file of the development run. An ordinary user has no
neighbour: only the log tells then, of an address that anybody may have put there.
ATT&CK T1110.001, T1078. Cleanup: the cable is gone; the file is emptied at the next start.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from vedette.errors import DeviceError
from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1110.001"
STEPS = (("attack.t1110",), ("attack.t1078", "attack.t1021", "attack.t1110"))
NEEDS_TIER = ("log", "log_file")
ANSWER_NEEDS_TIER = ("network", "ebpf", "conntrack")
GUESSES = 24
LOGIN_PORTS = (22, 23, 2222, 2323)
_SERVER = """
import socket, sys
with socket.create_server((sys.argv[2], int(sys.argv[3]))) as server:
    while True:
        server.accept()[0].close()
"""
_GUESSER = f"""
import socket, sys, time
left = int(sys.argv[4])
while left:
    with socket.socket() as door:
        door.settimeout(1)
        if door.connect_ex((sys.argv[2], int(sys.argv[3]))):
            time.sleep(0.01)
        else:
            left -= 1
time.sleep({LINGER_S})
"""


def act(stage: Stage) -> str:
    address, server = stage.loopback(), stage.random.randint(300, 30_000)
    stage.begin()
    if os.geteuid() == 0:
        address = _knock(stage)
    ports = stage.random.sample(range(30_000, 60_000), GUESSES)
    for outcome, port in zip((*["Failed"] * (GUESSES - 1), "Accepted"), ports, strict=True):
        stage.log(f"sshd[{server}]: {outcome} password for root from {address} port {port} ssh2")
    return address


def _knock(stage: Stage) -> str:
    neighbour = stage.neighbour()
    end = [stage.word(), neighbour.door, str(_free_port(stage, neighbour.door))]
    stage.start([sys.executable, "-ISc", _SERVER, *end])
    stage.begin()
    guesser = [sys.executable, "-ISc", _GUESSER, *end, str(GUESSES)]
    stage.start(neighbour.command(guesser))
    return neighbour.address


def _free_port(stage: Stage, address: str) -> int:
    """One where no login service of this host listens: a real one is left in peace."""
    for port in stage.random.sample(LOGIN_PORTS, len(LOGIN_PORTS)):
        with contextlib.suppress(OSError), socket.create_server((address, port)):
            return port
    raise DeviceError(f"expected one of {LOGIN_PORTS} without a listener, all have one")
