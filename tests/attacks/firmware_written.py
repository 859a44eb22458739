"""Writes over a firmware partition.

The partition is a plain file of that name in the throwaway root.
ATT&CK T1495, T1542.001. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1495"
EXPECTS = ("attack.t1495", "attack.t1542")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    device = stage.random.choice(("mtd", "mtdblock", "mmcblk")) + str(stage.random.randint(0, 9))
    stage.enclosure().write(f"/dev/{device}", stage.word())
    return stage.type(f"dd if=/bin/true of=/dev/{device} bs=512 count=1")
