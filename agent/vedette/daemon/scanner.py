"""The scanner: a short-lived process that compares the files of a device with their baseline.

Rule 1: it lives no longer than its parent, runs when nobody else wants the processor or the disk,
and tells everything through one pipe; all its memory goes back when it ends.
Rule 2: it reads the baseline as it was when the scan began and writes nothing.
Rule 3: a file is read again when inode, size or times moved, and in its turn: one file in
`slices` with each scan, because those can be forged by raw writes and memory mappings.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from vedette.codec.mountinfo import PSEUDO, is_remote
from vedette.codec.scan_stream import (
    Differs,
    Finished,
    Found,
    Message,
    Skipped,
    encode_message,
)
from vedette.core.baseline import compare, is_same_moment
from vedette.daemon.file_walk import Entry, plain_record, read_record, walk
from vedette.errors import ParseError, StoreError
from vedette.kernel import priority
from vedette.model.baseline import FileRecord, ScanCounts
from vedette.ports.baseline import Baseline
from vedette.sensors._filesystems import read_mounts

PR_SET_PDEATHSIG: Final = 1
IOPRIO_WHO_PROCESS: Final = 1
IOPRIO_IDLE: Final = 3 << 13
IOPRIO_SET: Final = {
    "x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "armv6l": 314, "i686": 289,
}  # fmt: skip
"""Numbers of ioprio_set(2), for which libc has no function."""

OUTPUT_BUFFER_BYTES: Final = 65_536
EXIT_PARENT_GONE: Final = 3


class Scan:
    """One pass over the trees.

    Args:
        baseline: what to compare with; None tells every file as found.
        turn: which of the slices is read whole this time.
        slices: how many scans it takes to read every file again.
    """

    def __init__(self, baseline: Baseline | None, turn: int, slices: int, output: BinaryIO) -> None:
        self._baseline = baseline
        self._turn = turn % slices
        self._slices = slices
        self._output = output
        self._files = self._hashed = self._hashed_bytes = self._differences = self._skipped = 0
        self._blind = ""
        self._foreign = _foreign_mounts()

    def run(self, roots: Sequence[str]) -> None:
        """Compare all trees and say what was done.

        Raises:
            StoreError: the baseline could not be read; no Finished was told.
            OSError: nobody reads the output.
        """
        for root in roots:
            self._run_root(root)
        counts = ScanCounts(
            self._files, self._hashed, self._hashed_bytes, self._differences, self._skipped
        )
        self._tell(Finished(counts))
        self._output.flush()

    def _run_root(self, root: str) -> None:
        self._blind = ""
        expected: Iterator[FileRecord] = iter(())
        if self._baseline is not None:
            expected = iter(self._baseline.paths(root))
        wanted = next(expected, None)
        for entry in walk(root, self._skip, self._foreign.__contains__):
            key = _order(entry.path)
            while wanted is not None and _order(wanted.path) < key:
                self._missing(wanted)
                wanted = next(expected, None)
            if wanted is not None and wanted.path == entry.path:
                self._judge(entry, wanted)
                wanted = next(expected, None)
            else:
                self._judge(entry, None)
        while wanted is not None:
            self._missing(wanted)
            wanted = next(expected, None)

    def _judge(self, entry: Entry, expected: FileRecord | None) -> None:
        self._files += 1
        if expected is not None and not self._is_due(entry.path):
            seen = plain_record(entry)
            if is_same_moment(expected, seen) and (expected.digest or seen.kind != "file"):
                seen = seen._replace(digest=expected.digest, capabilities=expected.capabilities)
                if compare(expected, seen) is None:
                    return
        found = self._read(entry)
        if self._baseline is None:
            self._tell(Found(found))
            return
        difference = compare(expected, found)
        if difference is not None:
            self._differences += 1
            self._tell(Differs(difference))
        elif expected is not None and not is_same_moment(expected, found):
            self._tell(Found(found))

    def _read(self, entry: Entry) -> FileRecord:
        record, hashed_bytes = read_record(entry, self._skip_file)
        self._hashed += record.kind == "file"
        self._hashed_bytes += hashed_bytes
        return record

    def _missing(self, expected: FileRecord) -> None:
        """Told unless it lies in a folder that could not be walked: then nobody knows."""
        if self._blind and expected.path.startswith(self._blind):
            return
        difference = compare(expected, None)
        if difference is not None:
            self._differences += 1
            self._tell(Differs(difference))

    def _is_due(self, path: str) -> bool:
        return zlib.crc32(os.fsencode(path)) % self._slices == self._turn

    def _skip(self, path: str, reason: str) -> None:
        self._blind = path.rstrip("/") + "/"
        self._skip_file(path, reason)

    def _skip_file(self, path: str, reason: str) -> None:
        self._skipped += 1
        self._tell(Skipped(path, reason))

    def _tell(self, message: Message) -> None:
        self._output.write(encode_message(message))


def main(arguments: Sequence[str]) -> int:
    """Scan and tell; 0 when the scan is whole.

    Args:
        arguments: pid of the parent, turn, slices, state folder ("" tells every file as found),
            then the roots. No flags and no argparse: only sensors/_scanner_process.py calls this,
            every five minutes for a proof, and parsing flags would be a third of what that costs.
    """
    parent, turn, slices, state, *roots = arguments
    if not _tie_to_parent(int(parent)):
        return EXIT_PARENT_GONE
    _step_back()
    output = os.fdopen(os.dup(1), "wb", buffering=OUTPUT_BUFFER_BYTES)
    try:
        with _expected(state) as baseline:
            Scan(baseline, int(turn), int(slices), output).run(roots)
    except (StoreError, ParseError, OSError) as error:
        print(f"scanner: {error}", file=sys.stderr)  # noqa: T201 (the parent reads it)
        return 2
    return 0


@contextmanager
def _expected(state: str) -> Iterator[Baseline | None]:
    if not state:
        yield None
        return
    from vedette.store.baseline import SqliteBaseline  # noqa: PLC0415 (a proof needs no SQLite)

    baseline = SqliteBaseline(Path(state), is_read_only=True)
    baseline.open()
    try:
        yield baseline
    finally:
        baseline.close()


def _order(path: str) -> bytes:
    """The order of the store: a slash sorts before any other byte."""
    return os.fsencode(path.rstrip("/")).replace(b"/", b"\0")


def _foreign_mounts() -> frozenset[str]:
    """Mount points that are not entered: what the kernel makes up and what others serve."""
    try:
        mounts = read_mounts()
    except OSError:
        return frozenset()
    return frozenset(m.point for m in mounts if m.kind in PSEUDO or is_remote(m.kind))


def _tie_to_parent(parent: int) -> bool:
    """End with the parent, also when it is killed (prctl(2)); False if it is gone already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def _step_back() -> None:
    """Lowest priority for processor and disk; where the kernel has no such class, so be it."""
    priority.step_back()
    number = IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
