"""A process in an uninterruptible sleep: it asks a file system that never answers.

Run as a program with a folder: mounts there, in a mount namespace of its own, prints the pid of the
process that waits, and lets it go when its standard input ends (linux/fuse.h, protocol 7.31).
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

from vedette_dev import kernel_calls

REQUEST = struct.Struct("=IIQQIIII")
ANSWER = struct.Struct("=IiQ")
INIT_OUT = struct.Struct("=IIIIHHIIHH32x")
INIT = 26
PROTOCOL = (7, 31)


def main() -> None:
    folder = sys.argv[1]
    kernel_calls.unshare(kernel_calls.CLONE_NEWNS)
    kernel_calls.mount("none", "/", flags=kernel_calls.MS_REC | kernel_calls.MS_PRIVATE)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    kernel_calls.mount("stuck", folder, "fuse", 0, options)
    pid = os.fork()
    if pid == 0:
        os.close(device)
        Path(folder, "asked").exists()
        os._exit(0)
    while answer_init(device):
        pass
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os.close(device)
    os.waitpid(pid, 0)


def answer_init(device: int) -> bool:
    """Take one request; only the first is answered, and False says that another waits."""
    data = os.read(device, 1 << 17)
    _, kind, unique, *_ = REQUEST.unpack_from(data)
    if kind != INIT:
        return False
    body = INIT_OUT.pack(*PROTOCOL, 1 << 16, 0, 12, 9, 1 << 16, 1, 0, 0)
    os.write(device, ANSWER.pack(ANSWER.size + len(body), 0, unique) + body)
    return True


if __name__ == "__main__":
    main()
