"""Reads another process's memory map, where keys and passwords are found.

ATT&CK T1003.007. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1003.007"
EXPECTS = ("attack.t1003",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    what = stage.random.choice(("maps", "environ"))
    return stage.type(f"sleep 5 &\ncat /proc/$!/{what}")
