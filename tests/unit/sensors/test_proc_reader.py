from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import cast

import pytest

from vedette.codec import connector, netlink
from vedette.sensors import _proc_reader as reader


def event(kind: int, pid: int) -> bytes:
    body = struct.pack("=IIIIHHIIQII", 1, 1, 5, 0, 40, 0, kind, 0, 99, pid, pid)
    return netlink.pack(3, 0, 0, body)


def run(*datagrams: bytes) -> socket.socket:
    """Run the reader's loop over datagrams; its end is a closed connector."""
    kernel, connected = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    out, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connected.setblocking(False)  # where the kernel has no more, the loop ends here
    for datagram in datagrams:
        kernel.send(datagram)
    with kernel, connected, out, pytest.raises(BlockingIOError):
        reader.run(connected, out)
    ours.setblocking(False)
    return ours


def test_an_execution_travels_with_what_proc_says() -> None:
    raw = event(connector.PROC_EVENT_EXEC, os.getpid())
    ours = run(raw)
    with ours:
        lost, got, uid, stat, image, arguments = reader.unpack(ours.recv(reader.MAX_RECORD_BYTES))
    assert (lost, got, uid) == (0, raw, os.geteuid())
    assert connector.parse_event(got).tgid == os.getpid()
    assert stat.startswith(b"%d (" % os.getpid())
    assert os.fsdecode(image) == str(Path("/proc/self/exe").readlink())
    assert arguments.endswith(b"\0")


def test_other_events_and_short_ones_are_passed_over() -> None:
    ours = run(event(connector.PROC_EVENT_EXIT, 1), b"", b"short", event(0, 1))
    with ours:
        assert ours.recv(1) == b""  # the other end closed, and nothing came before


class SlowReader:
    """A socket that takes every third record, as a full buffer would."""

    def __init__(self) -> None:
        self.asked = 0
        self.taken: list[bytes] = []

    def send(self, record: bytes, _flags: int) -> None:
        self.asked += 1
        if self.asked % 3:
            raise BlockingIOError
        self.taken.append(record)


def test_what_its_reader_does_not_take_is_counted_with_the_next_record() -> None:
    kernel, connected = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    connected.setblocking(False)
    slow = SlowReader()
    with kernel, connected:
        for _ in range(6):
            kernel.send(event(connector.PROC_EVENT_EXEC, os.getpid()))
        with pytest.raises(BlockingIOError):
            reader.run(connected, cast("socket.socket", slow))
    assert [reader.unpack(record)[0] for record in slow.taken] == [2, 2]


def test_a_process_that_is_gone_gives_nothing() -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    assert reader.gather(gone) == (-1, b"", b"", b"")


def test_a_record_cut_anywhere_is_refused_or_shorter() -> None:
    head = struct.pack("=IiHHH", 3, -1, 2, 3, 4)
    record = head + b"eestatimage"[:9] + b"args"
    assert reader.unpack(record) == (3, b"ee", -1, b"sta", b"tima", b"args")
    for cut in range(len(head) + 9):
        with pytest.raises(ValueError, match="expected a record"):
            reader.unpack(record[:cut])
