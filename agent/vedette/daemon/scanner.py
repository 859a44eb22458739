"""The scanner: a short-lived process that compares the files of a device with their baseline.

Rule 1: it lives no longer than its parent, runs when nobody else wants the processor or the disk,
and tells everything through one pipe; all its memory goes back when it ends.
Rule 2: it reads the baseline as it was when the scan began and writes nothing.
Rule 3: a file is read again when inode, size or times moved, and in its turn: one file in
`--slices` with each scan, because those can be forged by raw writes and memory mappings.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

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
from vedette.model.baseline import FileRecord, ScanCounts
from vedette.sensors._filesystems import PSEUDO, is_remote, read_mounts
from vedette.store.baseline import SqliteBaseline

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

    def __init__(
        self, baseline: SqliteBaseline | None, turn: int, slices: int, output: BinaryIO
    ) -> None:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan what the command line says; 0 when the scan is whole."""
    options = _parser().parse_args(arguments)
    if not _tie_to_parent(options.parent):
        return EXIT_PARENT_GONE
    _step_back()
    output = os.fdopen(os.dup(1), "wb", buffering=OUTPUT_BUFFER_BYTES)
    baseline = SqliteBaseline(options.state, is_read_only=True) if options.state else None
    try:
        if baseline is not None:
            baseline.open()
        Scan(baseline, options.turn, options.slices, output).run(options.roots)
    except (StoreError, ParseError, OSError) as error:
        print(f"scanner: {error}", file=sys.stderr)  # noqa: T201 (the parent reads it)
        return 2
    finally:
        if baseline is not None:
            baseline.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scanner", allow_abbrev=False)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--state", type=Path, default=None)
    parser.add_argument("--turn", type=int, default=0)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("roots", nargs="+")
    return parser


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
    os.nice(19)
    number = IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE)


if __name__ == "__main__":
    sys.exit(main())
