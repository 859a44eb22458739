"""Fuzz target: records of our eBPF programs."""

from __future__ import annotations

import contextlib

from vedette.codec import ebpf
from vedette.errors import ParseError
from vedette.model.event import Event, ProcessStarted

_EXEC = ebpf.EXEC.pack(
    1, ebpf.KIND_EXEC, 0, 42, 10**9, 77, 1, 5, 1 << 20, 41, 0, 0, 8, 4, 6, 13
)  # fmt: skip
_SOCKET = ebpf.SOCKET.pack(
    1, ebpf.KIND_CONNECTION, ebpf.IS_INITIATED, 42, 0, 6, 10, 4000, 23, 0, bytes(16), bytes(16)
)
SEEDS = (
    _EXEC + b"wget\0bin\0tmp\0a\0b c\0LD_PRELOAD=x\0",
    ebpf.FORK.pack(1, ebpf.KIND_FORK, ebpf.HAS_ENDED, 42, 10**9, 41, 0),
    ebpf.HEAD.pack(1, ebpf.KIND_EXIT, 0, 42),
    _SOCKET,
    ebpf.ACTIVITY.pack(1, ebpf.KIND_ACTIVITY, 0, 42, 0, 3, 5, 0) + b"/mnt\0",
)


def target(data: bytes) -> None:
    """Any record gives events or a ParseError with an offset, twice the same."""
    reader = ebpf.RecordReader("ebpf", 100, lambda _: "/unit", frozenset({b"LD_PRELOAD"}))
    first, second = list[Event](), list[Event]()
    try:
        reader.read(data, first)
    except ParseError as error:
        offset = error.offset
        assert 0 <= offset <= max(len(data), ebpf.EXEC.size)
    with contextlib.suppress(ParseError):
        reader.read(data, second)
    assert first == second  # what is kept of paths changes nothing
    for event in first:
        assert event.at_s >= 0
        if isinstance(event, ProcessStarted):
            assert len(event.command_line) <= len(data)
