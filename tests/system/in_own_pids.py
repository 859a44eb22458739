"""Runs a command in a pid namespace of its own, with /proc to match: `in_own_pids.py COMMAND...`.

What polls /proc there sees what the test starts there, and nothing else of the machine. SIGTERM is
handed on; the command's exit code is ours. Others may join by nsenter(1) with the pid of our child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWPID, CLONE_NEWNS = 0x20000000, 0x00020000
MS_REC_PRIVATE = 0x4000 | 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def main(command: list[str]) -> int:
    _check(_libc.unshare(CLONE_NEWPID | CLONE_NEWNS))
    child = os.fork()
    if child == 0:
        os._exit(_first_process(command))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _first_process(command: list[str]) -> int:
    """Pid 1 of the namespace: whoever loses its parent comes to us, and is let go."""
    _check(_libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    _check(_libc.mount(b"proc", b"/proc", b"proc", 0, None))
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            return os.waitstatus_to_exitcode(status)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
