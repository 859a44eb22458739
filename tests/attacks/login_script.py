"""Hides a command among the scripts that every login runs.

ATT&CK T1546.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1546.004"
EXPECTS = ("attack.t1546", "attack.t1037")


def act(stage: Stage) -> str:
    place = stage.random.choice((f"/etc/profile.d/{stage.word()}.sh", "/etc/profile"))
    return stage.type(f"echo '/opt/{stage.word()} &' >>{place}")
