"""Starts guardian and holder: `python -I -m vedette.daemon.holder`, a datagram socket as output.

The guardian is the parent: a holder whose guardian is killed is killed too, and then the kernel
itself lets everybody go, since nobody else has a copy of the group.
"""

from __future__ import annotations

import gc
import os
import resource
import sys

from vedette.codec.holder_reports import Refused, encode_report
from vedette.daemon.holder.calls import (
    CAP_DAC_READ_SEARCH,
    CAP_IPC_LOCK,
    CAP_LEASE,
    CAP_SYS_ADMIN,
    Calls,
)
from vedette.daemon.holder.guardian import DESCRIPTORS_MAX, Guardian
from vedette.daemon.holder.heart import Heart
from vedette.daemon.holder.holder import Holder

SOCKET = 1
HOLDER = (CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_LEASE)
"""To mark; to be given files that only their owner may read, which the kernel else denies; to see
whether other users' files are open for writing."""
GUARDIAN = (CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_IPC_LOCK)


def main() -> int:
    """Run until the sentinel is gone; returns the exit code of the guardian."""
    try:
        calls = Calls()
        calls.forbid_dumps()
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, DESCRIPTORS_MAX))
        group = calls.group()
    except OSError as error:
        _refuse(f"the kernel gives no group that decides on executions: {error.strerror}")
        return 2
    os.set_blocking(SOCKET, False)
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    guardian = Guardian(calls, group, ours, SOCKET)
    guardian.rehearse()
    gc.disable()  # neither makes cycles, and a collection would write to every page
    parent = os.getpid()
    holder = os.fork()
    if holder == 0:
        os.close(ours)
        _hold(calls, group, theirs, parent)
    os.close(theirs)
    try:
        calls.lock_memory()
        calls.keep_only(GUARDIAN)
    except OSError as error:
        _refuse(f"the guardian cannot be made safe: {error.strerror}")
        return 2  # and the holder ends with us
    return guardian.run(holder)


def _hold(calls: Calls, group: int, pipe: int, parent: int) -> None:
    """The holder's side: never returns."""
    try:
        calls.die_with_parent(parent)
        calls.ignore_lease_breaks()
        calls.keep_only(HOLDER)
        Holder(calls, group, SOCKET, Heart(pipe)).run()
    except Exception as error:  # noqa: BLE001 (a forked child must not return; it is told)
        _refuse(f"the holder is broken: {type(error).__name__}: {error}")
        os._exit(3)
    finally:
        os._exit(0)


def _refuse(why: str) -> None:
    try:
        os.write(SOCKET, encode_report(Refused(why)))
    except OSError:
        return  # nobody listens any more


if __name__ == "__main__":
    sys.exit(main())
