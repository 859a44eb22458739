"""Runs a program of a hidden name out of the memory disk.

ATT&CK T1564.001, T1059. Cleanup: the process ends with the throwaway root.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1564.001"
EXPECTS = ("attack.t1564", "attack.t1059", "attack.t1204", "attack.t1036")


def act(stage: Stage) -> str:
    program = f"/dev/shm/.{stage.word()}"
    return stage.type(f"cp /bin/sleep {program}\n{program} {LINGER_S} &")
