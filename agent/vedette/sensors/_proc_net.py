"""Reads the socket tables below /proc/net.

Rule 1: a table that this kernel lacks (IPv6 off) is empty; one that cannot be parsed raises.
Rule 2: what is read is bounded: a table of MAX_TABLE_BYTES holds a hundred thousand sockets.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from vedette.codec.procnet import parse_table
from vedette.codec.sock_diag import SocketRecord
from vedette.model.event import Protocol

FOLDER = Path("/proc/net")
MAX_TABLE_BYTES = 16 << 20


def sockets(protocol: Protocol) -> list[SocketRecord]:
    """All sockets of "tcp" or "udp", IPv4 and IPv6.

    Raises:
        OSError: neither table is there to read.
        ParseError: a table has a form of its own.
    """
    records = read_table(FOLDER / protocol)
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        records += read_table(FOLDER / f"{protocol}6")
    return records


def read_table(path: Path) -> list[SocketRecord]:
    """The records of one table."""
    with path.open("rb", buffering=0) as table:
        parts = []
        left = MAX_TABLE_BYTES
        # The kernel gives a page at a time, and whole lines.
        while left > 0 and (part := table.read(min(left, 1 << 16))):
            parts.append(part)
            left -= len(part)
    return parse_table(b"".join(parts), sys.byteorder)
