"""Drops a start script among those of the init system and makes it executable.

ATT&CK T1037.004, T1543. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1543"
EXPECTS = ("attack.t1543", "attack.t1037")


def act(stage: Stage) -> str:
    script = f"/etc/init.d/S{stage.random.randint(10, 99)}{stage.word()}"
    return stage.type(f"echo '#!/bin/sh' >{script}\nchmod 755 {script}")
