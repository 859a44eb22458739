"""The process events connector: requests and events (linux/connector.h, linux/cn_proc.h).

Rule: one datagram holds one event; its sequence number counts per processor, every kind of event,
also those that the in-kernel filter keeps back.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from vedette.codec import netlink
from vedette.errors import ParseError

NETLINK_CONNECTOR: Final = 11
CN_IDX_PROC: Final = 1
CN_VAL_PROC: Final = 1
_MCAST_LISTEN: Final = 1

PROC_EVENT_EXEC: Final = 0x2
PROC_EVENT_EXIT: Final = 0x80000000

_CONNECTOR = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQII")
EVENT_BYTES: Final = netlink.HEADER_BYTES + _CONNECTOR.size + _EVENT.size


class ProcEvent(NamedTuple):
    """One event.

    Attributes:
        kind: PROC_EVENT_*; 0 is the answer to a request.
        cpu: the processor that counts `sequence`.
        at_ns: CLOCK_MONOTONIC.
        pid: the thread, and `tgid` its process: what everybody else calls the pid.
    """

    kind: int
    cpu: int
    sequence: int
    at_ns: int
    pid: int
    tgid: int


def listen(port: int, kinds: int | None) -> bytes:
    """The request to get events.

    Args:
        port: our netlink port (the pid, as a rule).
        kinds: PROC_EVENT_* that are wanted (Linux 6.6; an older kernel ignores such a request);
            None for all.
    """
    data = struct.pack("=I", _MCAST_LISTEN)
    if kinds is not None:
        data += struct.pack("=I", kinds)
    body = _CONNECTOR.pack(CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(data), 0) + data
    return netlink.pack(netlink.NLMSG_DONE, 0, 0, body, port)


def parse_event(data: bytes | bytearray | memoryview) -> ProcEvent:
    """Read one datagram.

    Raises:
        ParseError: it is too short for an event, or of another connector.
    """
    if len(data) < EVENT_BYTES:
        raise ParseError(
            f"proc event: expected at least {EVENT_BYTES} bytes, got {len(data)}", len(data)
        )
    index, value, sequence, *_ = _CONNECTOR.unpack_from(data, netlink.HEADER_BYTES)
    if (index, value) != (CN_IDX_PROC, CN_VAL_PROC):
        raise ParseError(
            f"proc event: expected connector {CN_IDX_PROC}.{CN_VAL_PROC}, got {index}.{value}",
            netlink.HEADER_BYTES,
        )
    kind, cpu, at_ns, pid, tgid = _EVENT.unpack_from(data, netlink.HEADER_BYTES + _CONNECTOR.size)
    return ProcEvent(kind, cpu, sequence, at_ns, pid, tgid)
