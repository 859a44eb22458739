"""Removes or empties one of the system's logs.

ATT&CK T1070.002 (T1685.006 of the newer matrix). Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1070.002"
EXPECTS = ("attack.t1070.002", "attack.t1685")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"

_LOGS = ("messages", "syslog", "auth.log", "wtmp")
_WAYS = ("rm -f {}", "truncate -s 0 {}", "shred -u {}")


def act(stage: Stage) -> str:
    log = f"/var/log/{stage.random.choice(_LOGS)}"
    stage.enclosure().write(log, stage.word())
    return stage.type(stage.random.choice(_WAYS).format(log))
