"""A process that brings one image into a slot, and says what it took: one line of JSON.

python -m tests.bench._firmware_writer IMAGE SLOT SHA256 [INDEX INDEX_SHA256 [OTHER]]

With "-" for SHA256, which needs an index, nothing is read back.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from vedette.ports.image_source import ImageSource, Run
from vedette.store.block_index import BlockIndexFile
from vedette.store.slot_file import SlotFile
from vedette.store.slot_writer import WriteReport, read_back, write_missing, write_whole


class FileImage(ImageSource):
    """An image in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)

    def read(self, runs: Sequence[Run]) -> _Runs:
        return _Runs(self._file.fileno(), list(runs))


class _Runs:
    def __init__(self, descriptor: int, runs: list[Run]) -> None:
        self._descriptor, self._runs = descriptor, runs[::-1]

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._runs:
            return 0
        offset, length = self._runs.pop()
        count = os.preadv(self._descriptor, [buffer[:length]], offset)
        if count < length:
            self._runs.append(Run(offset + count, length - count))
        return count


def main(arguments: Sequence[str]) -> None:
    image, slot_path, sha256 = Path(arguments[0]), Path(arguments[1]), arguments[2]
    size = image.stat().st_size
    idle_kb = _reset_peak_kb()
    began_s, io_before = time.monotonic(), _written_to_disk()
    with ExitStack() as stack:
        slot = stack.enter_context(closing(SlotFile(slot_path, size)))
        report = _write(stack, slot, FileImage(image), sha256, list(arguments[3:]))
        written_s = time.monotonic()
        if sha256 != "-":
            read_back(slot, sha256)
    ended_s = time.monotonic()
    found = {
        "idle_kb": idle_kb, "peak_kb": _status_kb("VmHWM"), "write_s": written_s - began_s,
        "read_back_s": ended_s - written_s, "disk_bytes": _written_to_disk() - io_before,
        **report._asdict(),
    }  # fmt: skip
    os.write(1, json.dumps(found).encode() + b"\n")


def _write(
    stack: ExitStack, slot: SlotFile, source: ImageSource, sha256: str, rest: list[str]
) -> WriteReport:
    if not rest:
        return write_whole(slot, source, sha256=sha256, start=0, mark=lambda at: None)
    index = BlockIndexFile(Path(rest[0]), image_bytes=slot.size_bytes, sha256=rest[1])
    stack.enter_context(closing(index))
    other = None
    if len(rest) > 2:
        running = SlotFile(Path(rest[2]), slot.size_bytes, is_read_only=True)
        other = stack.enter_context(closing(running))
    return write_missing(slot, source, index, other)


def _reset_peak_kb() -> int:
    """Forget the peak so far (proc(5), clear_refs); what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_kb("VmRSS")


def _status_kb(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _written_to_disk() -> int:
    """proc(5), io: bytes that this process caused to be sent to the storage layer."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


if __name__ == "__main__":
    main(sys.argv[1:])
