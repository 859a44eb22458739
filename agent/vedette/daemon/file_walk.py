"""Walks trees in path order without following a link, and reads what a baseline holds of a file.

Rule 1: every step goes through the descriptor of the folder above with O_NOFOLLOW, so that a link
put in place meanwhile leads nowhere, and paths longer than PATH_MAX are reached.
Rule 2: folders come before their content, names in the order of their bytes: the store's order.
Rule 3: what cannot be read is told by `skip` with its reason.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from vedette.model.baseline import FileRecord

READ_BYTES: Final = 262_144
"""Most files are read by one call, which makes this faster than hashlib.file_digest."""

HASH_BYTES_MAX: Final = 1 << 30
"""A sparse file of 8 EB costs its maker nothing; beyond this only size and attributes count."""

DEPTH_MAX: Final = 512  # descriptors held at once
FOLDER_NAMES_MAX: Final = 500_000  # about 60 MB while they are sorted
RACY_NS: Final = 2_000_000_000
"""A file changed less than this before it was read may change again within the same tick."""

_KIND_OF = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "dir"}
_CAPABILITIES = "security.capability"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INT63 = (1 << 63) - 1

Skip = Callable[[str, str], None]


class Entry(NamedTuple):
    """One file in its folder: `folder` is an open descriptor, valid until the next step."""

    path: str
    folder: int
    name: str
    status: os.stat_result


def walk(root: str, skip: Skip, is_left_out: Callable[[str], bool]) -> Iterator[Entry]:
    """All files at or below a root.

    Args:
        root: a real path, a folder or a single file; one that is missing gives nothing.
        skip: told of every folder that cannot be walked, with the reason.
        is_left_out: whether a mount point's file system is not to be entered.
    """
    parent, name = os.path.split(root)
    try:
        folder = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        yield from _walk(root, folder, name or ".", 0, skip, is_left_out)
    finally:
        os.close(folder)


def _walk(
    path: str, folder: int, name: str, depth: int, skip: Skip, is_left_out: Callable[[str], bool]
) -> Iterator[Entry]:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        skip(path, error.strerror or "unknown error")
        return
    yield Entry(path, folder, name, status)
    if not stat.S_ISDIR(status.st_mode) or is_left_out(path):
        return
    if depth >= DEPTH_MAX:
        skip(path, f"deeper than {DEPTH_MAX} folders")
        return
    try:
        inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=folder)
    except OSError as error:
        skip(path, error.strerror or "unknown error")
        return
    try:
        prefix = "/" if path == "/" else path + "/"
        for child in _names(path, inner, skip):
            yield from _walk(prefix + child, inner, child, depth + 1, skip, is_left_out)
    finally:
        os.close(inner)


def _names(path: str, folder: int, skip: Skip) -> list[str]:
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(names) >= FOLDER_NAMES_MAX:
                    skip(path, f"more than {FOLDER_NAMES_MAX} names in one folder")
                    return []
                names.append(entry.name)
    except OSError as error:
        skip(path, error.strerror or "unknown error")
        return []
    names.sort(key=os.fsencode)
    return names


class Reading(NamedTuple):
    """A record and what it cost."""

    record: FileRecord
    hashed_bytes: int


def plain_record(entry: Entry) -> FileRecord:
    """What lstat says of a file; digest and capabilities are left empty."""
    return _record(entry.path, entry.status, "", "", entry.status.st_ctime_ns)


def read_record(entry: Entry, skip: Skip) -> Reading:
    """Read a file whole: digest, capabilities, and fstat as it was before the reading."""
    mode = entry.status.st_mode
    if stat.S_ISREG(mode):
        return _read_file(entry, skip)
    record = plain_record(entry)
    if stat.S_ISLNK(mode):
        record = record._replace(digest=_link_digest(entry, skip))
    return Reading(record, 0)


def _read_file(entry: Entry, skip: Skip) -> Reading:
    descriptor = -1
    try:
        descriptor = _open(entry)
        return _read_open(entry.path, descriptor, skip)
    except OSError as error:
        skip(entry.path, error.strerror or "unknown error")
        return Reading(plain_record(entry), 0)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _read_open(path: str, descriptor: int, skip: Skip) -> Reading:
    status = os.fstat(descriptor)  # it may be another file by now
    ctime_ns = status.st_ctime_ns
    if not stat.S_ISREG(status.st_mode):
        return Reading(_record(path, status, "", "", ctime_ns), 0)
    if ctime_ns > time.time_ns() - RACY_NS:
        ctime_ns = 0
    capabilities = _capabilities(descriptor)
    digest, size = "", 0
    if status.st_size > HASH_BYTES_MAX:
        skip(path, f"larger than {HASH_BYTES_MAX >> 20} MB: its content is not read")
    else:
        digest, size = _digest(descriptor)
        if size > HASH_BYTES_MAX:
            skip(path, f"grew beyond {HASH_BYTES_MAX >> 20} MB while it was read")
            digest = ""
    return Reading(_record(path, status, digest, capabilities, ctime_ns), size)


def _record(
    path: str, status: os.stat_result, digest: str, capabilities: str, ctime_ns: int
) -> FileRecord:
    mode = status.st_mode
    return FileRecord(
        path, _KIND_OF.get(stat.S_IFMT(mode), "other"), mode, status.st_uid, status.st_gid,
        status.st_size, status.st_ino & _INT63, _bounded(status.st_mtime_ns), _bounded(ctime_ns),
        digest, capabilities,
    )  # fmt: skip


def _digest(descriptor: int) -> tuple[str, int]:
    data = os.read(descriptor, READ_BYTES)
    total, size = hashlib.sha256(data), len(data)
    while data and size <= HASH_BYTES_MAX:
        # A short read is the end of a regular file, but only an empty one says so for sure.
        if size < READ_BYTES:
            break
        data = os.read(descriptor, READ_BYTES)
        total.update(data)
        size += len(data)
    return total.hexdigest(), size


def _open(entry: Entry) -> int:
    try:
        return os.open(entry.name, _OPEN | os.O_NOATIME, dir_fd=entry.folder)
    except PermissionError:  # O_NOATIME is the owner's and CAP_FOWNER's
        return os.open(entry.name, _OPEN, dir_fd=entry.folder)


def _capabilities(descriptor: int) -> str:
    try:
        if _CAPABILITIES in os.listxattr(descriptor):
            return os.getxattr(descriptor, _CAPABILITIES).hex()
    except OSError:  # the file system has no attributes, or it was taken away meanwhile
        pass
    return ""


def _link_digest(entry: Entry, skip: Skip) -> str:
    try:
        target = os.readlink(entry.name, dir_fd=entry.folder)
    except OSError as error:
        skip(entry.path, error.strerror or "unknown error")
        return ""
    return hashlib.sha256(os.fsencode(target)).hexdigest()


def _bounded(time_ns: int) -> int:
    """Times of a hostile file system may not fit a signed 64-bit number."""
    return time_ns if -_INT63 <= time_ns <= _INT63 else _INT63
