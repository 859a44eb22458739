"""Reads the proc connector and, at once, what /proc still knows about each new program.

Rule 1: it also runs as a program of its own at real-time priority, so it stays tiny: os, socket
and struct, not even the rest of Vedette.
Rule 2: the program blocks on the connector only; what its reader does not take is counted, and the
count travels with the next record.
Rule 3: RLIMIT_RTTIME ends the program when it spins, before the device suffers.
"""

from __future__ import annotations

import os
import socket
import struct

SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_DROPS = 8
"""linux/sock_diag.h: SK_MEMINFO_DROPS."""
BUFFER_BYTES = 8 << 20
"""240 bytes an event: 30,000 executions."""
MAX_EVENT_BYTES = 512
MAX_ARGUMENTS_BYTES = 8192
_MAX_STAT_BYTES = 1024

_EVENT_KIND = 36
_EVENT_PID = 52
_EVENT_TGID = 56
"""Where struct proc_event begins behind both headers, and its pids (linux/cn_proc.h)."""
_NUMBER = struct.Struct("=I")
_EXEC = 0x2

_RECORD = struct.Struct("=IiHHH")
MAX_RECORD_BYTES = 32 * 1024

READY = b"listening"
_PRIORITY = 1
_RTTIME_US = 200_000
"""Of processor time without waiting; one event takes 50 µs."""
_OUT_BYTES = 4 << 20


def open_connector() -> socket.socket:
    """A bound connector socket with a large buffer; nothing is asked for yet.

    Raises:
        OSError: the kernel has no connector, or we may not use it.
    """
    connector = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 11)
    try:
        connector.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        connector.bind((0, 1))
    except OSError:
        connector.close()
        raise
    return connector


def dropped(connector: socket.socket) -> int:
    """How many events the kernel could not put into this socket so far (32 bits, it wraps)."""
    answer = connector.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(answer)[_DROPS]) if len(answer) == _MEMINFO.size else 0


def gather(pid: int) -> tuple[int, bytes, bytes, bytes]:
    """What /proc still says: uid (-1: gone), the raw stat, program path and arguments."""
    uid, arguments, stat, image = -1, b"", b"", b""
    try:
        descriptor = os.open(b"/proc/%d/cmdline" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return uid, stat, image, arguments
    try:
        # The arguments first: they are what ends with the process.
        arguments = os.read(descriptor, MAX_ARGUMENTS_BYTES + 1)
        uid = os.fstat(descriptor).st_uid
        image = os.readlink(b"/proc/%d/exe" % pid)  # noqa: PTH115 - hot
        stat = _read(b"/proc/%d/stat" % pid)
    except OSError:
        pass  # it ended meanwhile; what was read is still true
    finally:
        os.close(descriptor)
    return uid, stat, image, arguments


def unpack(record: bytes) -> tuple[int, bytes, int, bytes, bytes, bytes]:
    """Take a record of `run` apart: lost, event, uid, stat, image, arguments.

    Raises:
        ValueError: a length does not fit.
    """
    if len(record) < _RECORD.size:
        raise ValueError(f"expected a record of at least {_RECORD.size} bytes, got {len(record)}")
    lost, uid, event_bytes, stat_bytes, image_bytes = _RECORD.unpack_from(record)
    first = _RECORD.size + event_bytes
    second = first + stat_bytes
    third = second + image_bytes
    if third > len(record):
        raise ValueError(f"expected a record of at least {third} bytes, got {len(record)}")
    event, stat, image = record[_RECORD.size : first], record[first:second], record[second:third]
    return lost, event, uid, stat, image, record[third:]


def run(connector: socket.socket, out: socket.socket) -> None:
    """Pass on what comes until the reader is gone."""
    lost = before = 0
    event = bytearray(MAX_EVENT_BYTES)
    while True:
        try:
            size = connector.recv_into(event)
        except OSError as error:
            if error.errno != 105:  # noqa: PLR2004 - ENOBUFS; errno is not imported
                raise
            total = dropped(connector)
            lost, before = lost + total - before, total
            continue
        if size <= _EVENT_TGID or _NUMBER.unpack_from(event, _EVENT_KIND)[0] != _EXEC:
            continue
        uid, stat, image, arguments = gather(_NUMBER.unpack_from(event, _EVENT_TGID)[0])
        head = _RECORD.pack(lost & 0xFFFFFFFF, uid, size, len(stat), len(image))
        try:
            out.send(head + event[:size] + stat + image + arguments, socket.MSG_DONTWAIT)
            lost = 0
        except BlockingIOError:
            lost += 1
        except OSError:
            return


def main() -> None:
    """Standard output is the socket that records go to; its first datagrams are the requests."""
    import resource  # noqa: PLC0415 - the sentinel imports this file and needs none of it

    out = socket.socket(fileno=1)
    out.setsockopt(socket.SOL_SOCKET, 32, _OUT_BYTES)  # SO_SNDBUFFORCE
    connector = open_connector()
    connector.send(out.recv(MAX_EVENT_BYTES))
    connector.send(out.recv(MAX_EVENT_BYTES))
    resource.setrlimit(resource.RLIMIT_RTTIME, (_RTTIME_US, _RTTIME_US))
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    out.send(READY)
    run(connector, out)


def _read(path: bytes) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MAX_STAT_BYTES)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
