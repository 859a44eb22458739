"""Takes hold of another process as a debugger would, to read its memory or change its code.

The other process is a child of its own; it is let go at once.
ATT&CK T1055.008. Cleanup: both processes end.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vedette_dev.stage import Stage

TECHNIQUE = "T1055.008"
EXPECTS = ("attack.t1055",)
NEEDS_ROOT = "calls that the kernel guards are told by sources that root has"

_ATTACH, _DETACH = 16, 17
_TRACER = f"""
import ctypes, os, time
libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    time.sleep(5)
    os._exit(0)
libc.ptrace({_ATTACH}, child, None, None)
os.waitpid(child, 0)
libc.ptrace({_DETACH}, child, None, None)
time.sleep(5)
"""


def act(stage: Stage) -> str:
    name = stage.word()
    program = stage.copy(Path(sys.executable).resolve(), stage.folder() / name)
    environment = {"PYTHONHOME": sys.base_prefix}
    stage.begin()
    stage.start([program, "-S", "-c", _TRACER], environment=environment)
    return name
