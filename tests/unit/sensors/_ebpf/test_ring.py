"""The mapped ring, on memory laid out as the kernel lays it out (kernel/bpf/ringbuf.c)."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest

from vedette.sensors._ebpf.ring import MappedRing

SIZE = mmap.PAGESIZE
BUSY, DISCARDED = 1 << 31, 1 << 30


class Kernel:
    """The writing side: positions, records, and the data mapped twice in a row."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * mmap.PAGESIZE + 2 * SIZE)
        self.written = 0

    def write(self, record: bytes, flags: int = 0) -> int:
        """Reserve and commit a record; returns where it stands."""
        at = self.written
        data = struct.pack("=II", len(record) | flags, 0) + record
        for number, byte in enumerate(data):
            place = (at + number) % SIZE
            for copy in (0, SIZE):
                os.pwrite(self.fd, bytes((byte,)), 2 * mmap.PAGESIZE + copy + place)
        self.written += (len(data) + 7) & ~7
        os.pwrite(self.fd, struct.pack("=Q", self.written), mmap.PAGESIZE)
        return at

    def commit(self, at: int, size: int) -> None:
        for copy in (0, SIZE):
            place = 2 * mmap.PAGESIZE + copy + at % SIZE
            os.pwrite(self.fd, struct.pack("=I", size), place)

    def read_to(self) -> int:
        position: int = struct.unpack("=Q", os.pread(self.fd, 8, 0))[0]
        return position


@pytest.fixture
def kernel_side() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    os.close(made.fd)


@pytest.fixture
def reader(kernel_side: Kernel) -> Iterator[MappedRing]:
    made = MappedRing(kernel_side.fd, SIZE)
    yield made
    made.close()
    made.close()


def test_records_are_read_in_order_and_given_back(kernel_side: Kernel, reader: MappedRing) -> None:
    assert reader.read(10) == []
    for record in (b"first", b"", b"x" * 100):
        kernel_side.write(record)
    assert reader.read(10) == [b"first", b"", b"x" * 100]
    assert kernel_side.read_to() == kernel_side.written
    assert reader.read(10) == []


def test_a_record_over_the_end_is_read_whole(kernel_side: Kernel, reader: MappedRing) -> None:
    records = [bytes((number,)) * 1000 for number in range(20)]
    for record in records:
        kernel_side.write(record)
        assert reader.read(10) == [record]
    assert kernel_side.written > 4 * SIZE


def test_a_record_that_is_being_written_ends_the_reading(
    kernel_side: Kernel, reader: MappedRing
) -> None:
    kernel_side.write(b"whole")
    at = kernel_side.write(b"coming", BUSY)
    kernel_side.write(b"behind")
    assert reader.read(10) == [b"whole"]
    assert kernel_side.read_to() == at
    kernel_side.commit(at, len(b"coming"))
    assert reader.read(10) == [b"coming", b"behind"]


def test_a_discarded_record_is_passed_over(kernel_side: Kernel, reader: MappedRing) -> None:
    kernel_side.write(b"given up", DISCARDED)
    kernel_side.write(b"kept")
    assert reader.read(10) == [b"kept"]
    assert kernel_side.read_to() == kernel_side.written


def test_a_reading_ends_at_its_limit(kernel_side: Kernel, reader: MappedRing) -> None:
    for number in range(5):
        kernel_side.write(b"%d" % number)
    assert reader.read(3) == [b"0", b"1", b"2"]
    assert reader.read(3) == [b"3", b"4"]


def test_a_second_reader_goes_on_where_the_first_one_stopped(kernel_side: Kernel) -> None:
    for number in range(3):
        kernel_side.write(b"%d" % number)
    first = MappedRing(kernel_side.fd, SIZE)
    assert first.read(1) == [b"0"]
    first.close()
    second = MappedRing(kernel_side.fd, SIZE)
    assert second.read(5) == [b"1", b"2"]
    second.close()
