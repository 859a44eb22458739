"""Gives a new file the time of an old one, so that it does not stand out.

ATT&CK T1070.006. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1070.006"
EXPECTS = ("attack.t1070.006",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    name = f"/etc/{stage.word()}"
    stage.enclosure().write(name, stage.word())
    way = stage.random.choice(("-r /bin/sh", "-t 201901010101", "-d 2019-01-01"))
    return stage.type(f"touch {way} {name}")
