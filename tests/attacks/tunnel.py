"""Opens a way into the local network from outside by a reverse forwarding of SSH.

The client is a copy of `sleep` of that name that connects nowhere.
ATT&CK T1572, T1090. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1572"
EXPECTS = ("attack.t1572", "attack.t1090")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    client = stage.random.choice(("ssh", "dbclient"))
    port = stage.random.randint(20_000, 60_000)
    address = stage.loopback()
    return stage.type(
        f"cp /bin/true /opt/{client}\n"
        f"/opt/{client} -N -f -R {port}:127.0.0.1:22 {stage.word()}@{address}"
    )
