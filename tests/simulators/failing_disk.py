"""System calls that fail at one step, as a full or broken disk does (store.durable.disk)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

CHANGES = (
    "fsync", "ftruncate", "link", "mkdir", "open", "pwrite", "rename", "rmdir", "symlink", "unlink",
    "write",
)  # fmt: skip
_REMOVING = frozenset(("unlink", "rmdir", "ftruncate"))


class FailingDisk:
    """What `os` does, until the n-th change of the disk fails; with 0 none does.

    A full disk takes half of the data of the write that fails, as real ones do, and still lets
    files be removed and cut; with `is_lasting` every later change that needs room fails too.

    Attributes:
        changes: names of the calls that were made, the one that failed included.
    """

    def __init__(
        self, fail_at: int = 0, code: int = errno.ENOSPC, *, is_lasting: bool = False
    ) -> None:
        self.changes: list[str] = []
        self._fail_at, self._code, self._is_lasting = fail_at, code, is_lasting

    def __getattr__(self, name: str) -> Callable[..., object]:
        call = getattr(os, name)
        if name not in CHANGES:
            return call  # type: ignore[no-any-return]

        def counted(*arguments: object, **options: object) -> object:
            self.changes.append(name)
            if self._fails(name):
                self._take_half(name, call, arguments)
                raise OSError(self._code, os.strerror(self._code))
            return call(*arguments, **options)

        return counted

    def _fails(self, name: str) -> bool:
        number = len(self.changes)
        if number == self._fail_at:
            return True
        return self._is_lasting and 0 < self._fail_at < number and name not in _REMOVING

    def _take_half(
        self, name: str, call: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        if name not in {"write", "pwrite"}:
            return
        descriptor, data, *offset = arguments
        half = memoryview(data)[: len(memoryview(data)) // 2]  # type: ignore[arg-type]
        call(descriptor, half, *offset)
