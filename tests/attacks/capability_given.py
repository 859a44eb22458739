"""Gives a program a capability that is as good as being root.

ATT&CK T1548.001. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1548.001"
EXPECTS = ("attack.t1548",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    program = f"/opt/{stage.word()}"
    return stage.type(f"cp /bin/true {program}\nchmod u+s {program}")
