"""Reads the ring that our programs write into (kernel/bpf/ringbuf.c; linux/bpf.h).

Rule 1: two readers of one kind. `MappedRing` reads the shared memory itself, which costs 3 µs a
record less, and is right only where a processor's reads and writes are seen in program order (x86);
`LibbpfRing` lets libbpf read, with the barriers that other processors need.
Rule 2: MappedRing reads and writes each number in one piece: a view cast to a native type copies
it with one instruction, where struct's "=Q" would go byte by byte and could see half of an update.
Rule 3: a record that is being written ends the reading; the ring wakes us again when it is whole.
Rule 4: a reading ends after `limit` records, so that the loop gets its turn; what is left wakes us.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from abc import ABC, abstractmethod
from typing import Any, Final

from vedette.errors import SensorError
from vedette.sensors._ebpf.object import library

_BUSY: Final = 1 << 31  # BPF_RINGBUF_BUSY_BIT
_DISCARDED: Final = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
_HEADER_BYTES: Final = 8
_ORDERED_MACHINES: Final = frozenset({"x86_64", "i386", "i486", "i586", "i686"})


class Ring(ABC):
    """One reader; there must be only one for a ring."""

    @abstractmethod
    def read(self, limit: int) -> list[bytes]:
        """The next records, at most `limit`, in the order in which they were begun."""

    @abstractmethod
    def close(self) -> None:
        """Unmap; the descriptor stays the caller's."""


def open_ring(fd: int, size_bytes: int, machine: str | None = None) -> Ring:
    """The right reader for a machine (uname -m), by default this one.

    Raises:
        SensorError: the ring cannot be mapped.
    """
    is_ordered = (machine or os.uname().machine) in _ORDERED_MACHINES
    try:
        return MappedRing(fd, size_bytes) if is_ordered else LibbpfRing(fd)
    except (OSError, ValueError) as error:
        raise SensorError(f"ebpf: the ring cannot be mapped: {error}") from error


class MappedRing(Ring):
    """Reads the mapped memory; for processors that keep the order of reads and of writes."""

    def __init__(self, fd: int, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._mask = size_bytes - 1
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # The kernel maps the data twice in a row: no record is ever in two pieces.
        self._data = mmap.mmap(
            fd, page + 2 * size_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._read_to = memoryview(self._consumer).cast("Q")
        self._written_to = memoryview(self._data)[:8].cast("Q")
        self._lengths = memoryview(self._data).cast("I")
        self._at = self._read_to[0]

    def read(self, limit: int) -> list[bytes]:
        """The next records, at most `limit`."""
        found: list[bytes] = []
        data, lengths, mask, at = self._data, self._lengths, self._mask, self._at
        page = mmap.PAGESIZE
        end = self._written_to[0]
        while at < end and len(found) < limit:
            start = page + (at & mask)
            length = lengths[start >> 2]
            if length & _BUSY:
                break
            start += _HEADER_BYTES
            size = length & ~_DISCARDED
            if size == length:
                found.append(data[start : start + size])
            at += (size + _HEADER_BYTES + 7) & ~7
        self._at = self._read_to[0] = at
        return found

    def close(self) -> None:
        """Unmap. Safe to call twice."""
        for view in (self._read_to, self._written_to, self._lengths):
            view.release()
        self._consumer.close()
        self._data.close()


class LibbpfRing(Ring):
    """Lets libbpf read; right on every processor."""

    def __init__(self, fd: int) -> None:
        self._libbpf = library()
        self._found: list[bytes] = []
        self._limit = 0
        self._take = _TAKE(self._taken)  # lives as long as libbpf may call it
        take = ctypes.cast(self._take, ctypes.c_void_p)
        self._ring: int | None = self._libbpf.ring_buffer__new(fd, take, None, None)
        if not self._ring:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def read(self, limit: int) -> list[bytes]:
        """The next records, at most `limit`."""
        self._found, self._limit = [], limit
        self._libbpf.ring_buffer__consume(self._ring)
        return self._found

    def _taken(self, _: Any, address: int, size: int) -> int:
        self._found.append(ctypes.string_at(address, size))
        return 0 if len(self._found) < self._limit else -1  # libbpf goes past this one, and ends

    def close(self) -> None:
        """Free libbpf's reader. Safe to call twice."""
        if self._ring:
            self._libbpf.ring_buffer__free(self._ring)
            self._ring = None


_TAKE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
