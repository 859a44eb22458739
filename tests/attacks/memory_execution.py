"""Runs a program that was never on a disk: written to a memfd, executed from its descriptor.

ATT&CK T1620, T1027.011.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1620"
EXPECTS = ("attack.t1620",)

_LOADER = """
import os, sys
name, source, seconds = sys.argv[1:4]
memory = os.memfd_create(name, os.MFD_CLOEXEC)
with open(source, "rb") as program:
    os.sendfile(memory, program.fileno(), 0, os.fstat(program.fileno()).st_size)
os.execve(memory, [name, seconds], {})
"""


def act(stage: Stage) -> str:
    name = stage.word()
    sleep = Path(shutil.which("sleep") or "/bin/sleep")
    stage.begin()
    stage.start([sys.executable, "-c", _LOADER, name, sleep, str(LINGER_S)])
    return name
