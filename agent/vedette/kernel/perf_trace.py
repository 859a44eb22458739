"""A tracepoint of the kernel, read through perf (perf_event_open(2)): on every processor, in rings.

Rule 1: nothing is changed in the kernel that outlives our descriptors.
Rule 2: a ring's head is read, then poll(2) is called, then the samples are read; and again before
the tail is written: within poll the kernel exchanges a number atomically (perf_poll), which keeps
the order of what is read and written on every processor.
Rule 3: heads and tails are 64 bits wide; the lower half is read and written, in one piece: a ring
is far smaller than what it counts.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import select
import struct
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from vedette.codec import perf
from vedette.errors import ParseError

FOLDERS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
"""Where tracefs is mounted."""

RING_BYTES: Final = 1 << 16
"""Of one processor: some 600 samples of a tracepoint with 70 bytes."""

_ONLINE: Final = Path("/sys/devices/system/cpu/online")
_CALLS: Final = {
    ("x86", 8): 298,
    ("x86", 4): 336,
    ("arm", 8): 241,
    ("arm", 4): 364,
}
"""perf_event_open's number, by the family of the processor and the bytes of a word."""
_TYPE_TRACEPOINT: Final = 2  # PERF_TYPE_TRACEPOINT
_WATERMARK: Final = 1 << 14  # struct perf_event_attr: wake up by bytes, not by samples
_ATTRIBUTES: Final = struct.Struct("=IIQQQQQIIQQ")  # PERF_ATTR_SIZE_VER1
_CLOSED_ON_EXEC: Final = 1 << 3  # PERF_FLAG_FD_CLOEXEC
_SET_FILTER: Final = 0x40002406 | struct.calcsize("P") << 16  # PERF_EVENT_IOC_SET_FILTER
_HEAD_AT: Final = 1024 // 4  # struct perf_event_mmap_page, in 32-bit words
_TAIL_AT: Final = 1032 // 4


class PerfTrace:
    """Open rings of one tracepoint.

    Processors that are switched on later are not read.

    Attributes:
        fields: where the tracepoint's fields stand in a sample.
        fds: readable when a ring is half full.
        lost: samples that the kernel had no room for, so far.
    """

    def __init__(self, name: str, condition: str) -> None:
        """Open on every processor.

        Args:
            name: such as "sock/inet_sock_set_state".
            condition: a filter of its fields, in tracefs' words.

        Raises:
            OSError: tracefs is not mounted, the kernel lacks the tracepoint or perf, or does not
                allow it.
            ParseError: what tracefs says of it cannot be understood.
        """
        folder = _folder(name)
        number = int((folder / "id").read_text(encoding="ascii"))
        self.fields: Mapping[str, perf.Field] = perf.parse_format(
            (folder / "format").read_text(encoding="ascii")
        )
        self.lost = 0
        self._opened = ExitStack()
        self._rings: list[_Ring] = []
        self._poll = select.poll()
        with ExitStack() as half_way:
            half_way.callback(self.close)
            for processor in processors(_ONLINE.read_text(encoding="ascii")):
                ring = _Ring(number, processor, condition)
                self._opened.callback(ring.close)
                self._rings.append(ring)
                self._poll.register(ring.fd)
            half_way.pop_all()
        self.fds = tuple(ring.fd for ring in self._rings)

    def read(self) -> list[perf.Sample]:
        """What came since the last reading, in the order of its time.

        Raises:
            ParseError: a ring holds what is no record; it is passed over.
        """
        ends = [ring.written() for ring in self._rings]
        self._poll.poll(0)
        pieces = [ring.upto(end) for ring, end in zip(self._rings, ends, strict=True)]
        self._poll.poll(0)
        for ring, end in zip(self._rings, ends, strict=True):
            ring.free(end)
        found: list[perf.Sample] = []
        for piece in pieces:
            samples, lost = perf.parse_records(piece)
            found += samples
            self.lost += lost
        found.sort(key=lambda sample: sample.at_ns)
        return found

    def close(self) -> None:
        """Close all. Safe to call twice."""
        self._opened.close()


class _Ring:
    """One processor's: a page about it, and the samples, as memory shared with the kernel."""

    def __init__(self, number: int, processor: int, condition: str) -> None:
        pages = max(1, RING_BYTES // mmap.PAGESIZE)
        self._size = pages * mmap.PAGESIZE
        attributes = _ATTRIBUTES.pack(
            _TYPE_TRACEPOINT, _ATTRIBUTES.size, number, 1, perf.SAMPLE_TYPE, 0, _WATERMARK,
            self._size // 2, 0, 0, 0,
        )  # fmt: skip
        with ExitStack() as half_way:
            self.fd = _open(attributes, processor)
            half_way.callback(os.close, self.fd)
            fcntl.ioctl(self.fd, _SET_FILTER, condition.encode("ascii") + b"\0")
            self._memory = mmap.mmap(
                self.fd, mmap.PAGESIZE + self._size, mmap.MAP_SHARED,
                mmap.PROT_READ | mmap.PROT_WRITE,
            )  # fmt: skip
            half_way.pop_all()
        self._words = memoryview(self._memory)[: mmap.PAGESIZE].cast("I")
        self._low = 0 if sys.byteorder == "little" else 1
        self._at = 0

    def written(self) -> int:
        return self._words[_HEAD_AT + self._low]

    def upto(self, end: int) -> bytes:
        """A copy of what stands between the last reading and `end`."""
        size = (end - self._at) & 0xFFFF_FFFF
        start = self._at % self._size
        first = min(size, self._size - start)
        data = mmap.PAGESIZE
        head = self._memory[data + start : data + start + first]
        return head + self._memory[data : data + size - first]

    def free(self, end: int) -> None:
        self._at = self._words[_TAIL_AT + self._low] = end

    def close(self) -> None:
        self._words.release()
        self._memory.close()
        os.close(self.fd)


def processors(text: str) -> list[int]:
    """The numbers in a list of the kernel's, such as "0-3,6".

    Raises:
        ParseError: it is no such list.
    """
    found: list[int] = []
    try:
        for part in text.strip().split(","):
            first, dash, last = part.partition("-")
            found += range(int(first), int(last if dash else first) + 1)
    except ValueError as error:
        raise ParseError(f'expected processors such as "0-3,6", got {text[:60]!r}') from error
    return found


def _folder(name: str) -> Path:
    for base in FOLDERS:
        folder = base / "events" / name
        if (folder / "id").exists():
            return folder
    raise FileNotFoundError(
        errno.ENOENT,
        f"no tracepoint {name}: the kernel lacks it, or tracefs is not mounted at {FOLDERS[0]}",
    )


def _open(attributes: bytes, processor: int) -> int:
    machine = os.uname().machine
    # A program of 32 bits may be told the name of a kernel of 64.
    family = "x86" if machine.endswith(("86", "86_64")) else machine[:3].replace("aar", "arm")
    call = _CALLS.get((family, struct.calcsize("P")))
    if call is None:
        raise OSError(errno.ENOSYS, f"perf_event_open: expected x86 or ARM, got {machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = (ctypes.c_long, ctypes.c_char_p) + (ctypes.c_long,) * 4
    libc.syscall.restype = ctypes.c_long
    fd: int = libc.syscall(call, attributes, -1, processor, -1, _CLOSED_ON_EXEC)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"perf_event_open: {os.strerror(number)}")
    return fd
