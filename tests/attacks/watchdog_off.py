"""Stops the watchdog, so that a device that hangs does not start anew and lose the worm.

The watchdog is a plain file of the throwaway root.
ATT&CK T1489. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1489"
EXPECTS = ("attack.t1489",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    device = stage.random.choice(("watchdog", "watchdog0"))
    stage.enclosure().write(f"/dev/{device}", stage.word())
    return stage.type(f"busybox dd if=/bin/true of=/dev/{device} count=1")
