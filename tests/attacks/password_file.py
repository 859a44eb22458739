"""Reads the file of password hashes; they are random ones of the throwaway root.

ATT&CK T1003.008. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1003.008"
EXPECTS = ("attack.t1003",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    tool = stage.random.choice(("cat", "head -n 5", "cp", "base64"))
    target = f" /opt/{stage.word()}" if tool == "cp" else ""
    return stage.type(f"{tool} /etc/shadow{target}")
