"""Writes a unit that starts a program with the system.

ATT&CK T1543.002. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1543.002"
EXPECTS = ("attack.t1543",)


def act(stage: Stage) -> str:
    unit = f"/etc/systemd/system/{stage.word()}.service"
    return stage.type(f"printf '[Service]\\nExecStart=/opt/{stage.word()}\\n' >{unit}")
