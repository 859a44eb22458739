"""Tries to load a kernel module out of a temporary folder; it is none, and the root may not.

ATT&CK T1547.006, T1014. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1547.006"
EXPECTS = ("attack.t1547", "attack.t1014")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    module = f"/tmp/{stage.word()}.ko"
    stage.enclosure().write(module, stage.word())
    return stage.type(f"cd /tmp\nbusybox insmod {module}")
