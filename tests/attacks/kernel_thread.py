"""Runs a program under the name of a kernel thread.

ATT&CK T1036.004. Cleanup: the process ends with the throwaway root.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1036.004"
EXPECTS = ("attack.t1036",)


def act(stage: Stage) -> str:
    program = f"/opt/{stage.word()}"
    name = f"[kworker/{stage.random.randint(0, 3)}:{stage.random.randint(0, 9)}]"
    return stage.type(f"cp /bin/sleep {program}\nbash -c 'exec -a {name} {program} {LINGER_S}' &")
