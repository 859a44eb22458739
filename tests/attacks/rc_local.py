"""Lets a program start with the device: one line more in the script that runs at boot.

ATT&CK T1037.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1037.004"
EXPECTS = ("attack.t1037",)


def act(stage: Stage) -> str:
    return stage.type(f"echo '/opt/{stage.word()} &' >>/etc/rc.local")
