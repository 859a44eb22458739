"""Guesses passwords until one is right, as the system's log tells it.

The lines are written to the log file of the development run; no SSH server is asked.
ATT&CK T1110.001, T1078. Cleanup: the file is emptied at the next start.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1110.001"
STEPS = (("attack.t1110",), ("attack.t1078", "attack.t1021", "attack.t1110"))
NEEDS_TIER = ("log", "log_file")
OUT_OF_REACH = "an address in a log may be put there by anybody: it is blocked for nothing"
GUESSES = 24


def act(stage: Stage) -> str:
    address, server = stage.loopback(), stage.random.randint(300, 30_000)
    ports = stage.random.sample(range(30_000, 60_000), GUESSES)
    stage.begin()
    for outcome, port in zip((*["Failed"] * (GUESSES - 1), "Accepted"), ports, strict=True):
        stage.log(f"sshd[{server}]: {outcome} password for root from {address} port {port} ssh2")
    return address
