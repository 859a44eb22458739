"""Waits for connections with a shell behind.

The program is a shell of such a name that sleeps: a real one would let in whoever comes.
ATT&CK T1133, T1095. Cleanup: the process ends.
"""

from __future__ import annotations

from pathlib import Path

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1095"
EXPECTS = ("attack.t1095", "attack.t1133", "attack.t1059")


def act(stage: Stage) -> str:
    name = stage.word()
    program = stage.copy(Path("/bin/sh"), stage.folder() / name / "nc")
    stage.begin()
    arguments = ["-l", "-p", str(stage.free_port()), "-e", "/bin/sh"]
    stage.start([program, "-c", f"sleep {LINGER_S}; :", *arguments])
    return name
