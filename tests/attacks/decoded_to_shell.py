"""Decodes text and hands it to a shell; it is a command that does nothing.

ATT&CK T1140, T1059.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

import base64

from vedette_dev.stage import Stage

TECHNIQUE = "T1140"
EXPECTS = ("attack.t1140", "attack.t1027", "attack.t1059")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    encoded = base64.b64encode(f": {stage.word()}\n".encode()).decode()
    return stage.type(f"sh -c 'echo {encoded} | base64 -d | sh'")
