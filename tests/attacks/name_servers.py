"""Sends the device's questions for names to another server, as router worms do.

ATT&CK T1557, T1565.001. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1557"
EXPECTS = ("attack.t1557", "attack.t1565")


def act(stage: Stage) -> str:
    server = stage.loopback()
    return stage.type(f"echo 'nameserver {server}' >/etc/resolv.conf")
