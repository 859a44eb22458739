"""All of a file that a response has to bring back, and orders against files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from vedette.model.response import FileTarget, Mode, Order
from vedette.ports.baseline import Baseline
from vedette.ports.good_copies import GoodCopies
from vedette.ports.responder import ResponderContext
from vedette.responses._file_calls import flags_of

ID = "0123456789abcdef"


class FileState(NamedTuple):
    """What must be the same before a response and after its undo."""

    kind_and_mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime_ns: int
    atime_ns: int
    flags: int
    attributes: dict[str, bytes]
    content: bytes


def file_state(path: Path) -> FileState:
    """Read all of it without changing the access time; of a link, where it leads."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return FileState(
            status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_size,
            status.st_mtime_ns, 0, 0, {}, os.fsencode(path.readlink()),
        )  # fmt: skip
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
    try:
        return FileState(
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_nlink,
            status.st_size,
            status.st_mtime_ns,
            status.st_atime_ns,
            flags_of(descriptor),
            {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)},
            os.pread(descriptor, status.st_size + 1, 0),
        )
    finally:
        os.close(descriptor)


def order_on(
    path: Path | str, sha256: str = "", *, responder: str = "quarantine", key: str = ID
) -> Order:
    """An order against a file that lasts an hour."""
    return Order(
        key, responder, FileTarget(str(path), sha256), Mode.ENFORCE, "rule", "incident", "p", 3600.0
    )


def context(
    folder: Path,
    *,
    untouchable_paths: tuple[str, ...] = (),
    baseline: Baseline | None = None,
    good_copies: GoodCopies | None = None,
) -> ResponderContext:
    """Folders of its own below one."""
    (folder / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    return ResponderContext(
        folder / "state",
        folder / "run",
        untouchable_paths=untouchable_paths,
        baseline=baseline,
        good_copies=good_copies,
    )
