"""A baseline and good copies in memory, taken of files as they are."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from vedette.model.baseline import FileRecord, GoodCopy
from vedette.ports.baseline import Baseline
from vedette.ports.good_copies import GoodCopies


def record_of(path: Path) -> FileRecord:
    """What a scan would say of a file."""
    status = path.lstat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    capabilities = ""
    if "security.capability" in os.listxattr(path):
        capabilities = os.getxattr(path, "security.capability").hex()
    return FileRecord(
        str(path), "file", status.st_mode, status.st_uid, status.st_gid, status.st_size,
        status.st_ino, status.st_mtime_ns, status.st_ctime_ns, digest, capabilities,
    )  # fmt: skip


class MemoryGoodCopies(GoodCopies):
    """Copies that no disk can lose."""

    def __init__(self) -> None:
        self.copies: dict[str, GoodCopy] = {}

    def take(self, path: Path) -> None:
        assert stat.S_ISREG(path.lstat().st_mode)
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        self.copies[str(path)] = GoodCopy(str(path), attributes, path.read_bytes())

    def find(self, path: str, sha256: str) -> GoodCopy | None:
        copy = self.copies.get(path)
        if copy is None or hashlib.sha256(copy.content).hexdigest() != sha256:
            return None
        return copy


class MemoryBaseline(Baseline):
    """Expects what it was told to."""

    def __init__(self, *records: FileRecord) -> None:
        self._records = {record.path: record for record in records}

    def known(self, path: str) -> FileRecord | None:
        return self._records.get(path)

    def is_empty(self) -> bool:
        return not self._records

    def replace(self, records: Iterable[FileRecord]) -> int:
        self._records = {record.path: record for record in records}
        return len(self._records)

    def accept(self, records: Iterable[FileRecord], removed: Sequence[str]) -> int:
        for path in removed:
            self._records.pop(path, None)
        self._records.update((record.path, record) for record in records)
        return len(self._records)

    def paths(self, prefix: str) -> list[FileRecord]:
        below = prefix.rstrip("/") + "/"
        return [one for path, one in sorted(self._records.items()) if f"{path}/".startswith(below)]

    def count(self) -> int:
        return len(self._records)

    def digest(self) -> str:
        return hashlib.sha256(repr(sorted(self._records.items())).encode()).hexdigest()
