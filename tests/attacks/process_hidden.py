"""Mounts an empty folder over a process's entry in /proc, so that no list shows it.

ATT&CK T1564. Cleanup: the mount ends with the throwaway root.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1564"
EXPECTS = ("attack.t1564", "attack.t1014")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    folder = f"/opt/{stage.word()}"
    return stage.type(f"mkdir {folder}\nsleep 5 &\nmount -o bind {folder} /proc/$!")
