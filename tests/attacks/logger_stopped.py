"""Ends the system logger before it can write down what follows.

A program of the logger's name runs in the throwaway root; the host's own is out of reach.
ATT&CK T1562.001 (T1685 of the newer matrix), T1489. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1562.001"
EXPECTS = ("attack.t1562", "attack.t1685", "attack.t1489")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    logger = stage.random.choice(("syslogd", "klogd", "rsyslogd"))
    return stage.type(
        f"cp /bin/sleep /opt/{logger}\n/opt/{logger} {LINGER_S} &\nbusybox killall -9 {logger}"
    )
