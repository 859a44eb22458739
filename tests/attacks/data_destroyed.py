"""Deletes everything below the folders that a device cannot live without.

ATT&CK T1485. Cleanup: the throwaway root is removed, which had only copies.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1485"
EXPECTS = ("attack.t1485", "attack.t1561")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    folder = stage.random.choice(("/var", "/home", "/opt"))
    stage.enclosure().write(f"{folder}/{stage.word()}/kept", stage.word())
    return stage.type(f"rm -rf {folder}")
