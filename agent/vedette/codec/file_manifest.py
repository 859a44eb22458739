"""The files of a firmware with their digests: one canonical JSON list in a line for each.

    ["vedette-files",1]
    ["/bin/busybox","file",33261,0,0,905384,"<SHA-256 of the content>",""]
    ["/bin/sh","link",41471,0,0,7,"<SHA-256 of the target>",""]

path, kind, st_mode, uid, gid, size, digest, capabilities (security.capability in hex), as
model/baseline.py: FileRecord has them; inode and times are not known before it is installed.

Rule 1: lines are read one by one, so that 100,000 files cost no more memory than one.
Rule 2: paths are absolute, whole UTF-8, in the order of a walk (a folder before its content, names
by their bytes), so that no file comes twice.
Rule 3: an empty manifest, or one whose last line has no end, is refused: it was cut.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator

from vedette.codec import strict_fields as strict
from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError
from vedette.model.baseline import FileRecord

HEAD = b'["vedette-files",1]\n'
MAX_LINE = 8192
"""Twice PATH_MAX, which JSON may double at worst, is longer than any path we sign."""
MAX_FILES = 1_000_000

_TYPES = {"file": stat.S_IFREG, "link": stat.S_IFLNK, "dir": stat.S_IFDIR}
_START = b"\xff"  # no UTF-8 begins so
_COLUMNS = 8
_UNREAD_FROM = 1 << 30  # daemon/file_walk.py reads no larger file
_MAX_PATH = 4095  # PATH_MAX without its NUL
_MAX_ID = 2**32 - 2  # (uid_t) -1 is nobody's
_MAX_MODE = 0o177777
_CAPABILITIES = re.compile(r"([0-9a-f]{2}){0,64}")
_DIGEST = re.compile(r"([0-9a-f]{64})?")


def encode(records: Iterable[FileRecord]) -> Iterator[bytes]:
    """The lines of a manifest, head first.

    Args:
        records: in the order of daemon/file_walk.py; inode and times are passed over.

    Raises:
        ParseError: a record is none that `decode` would read, such as a path that is not UTF-8.
    """
    yield HEAD
    before = _START
    for one in records:
        values: list[Json] = [
            one.path, one.kind, one.mode, one.uid, one.gid, one.size_bytes, one.digest,
            one.capabilities,
        ]  # fmt: skip
        try:
            line = canonical(values) + b"\n"
        except UnicodeEncodeError as error:
            raise ParseError(f"expected UTF-8 in the path {strict.shown(one.path)}") from error
        before = _record(line, before)[1]
        yield line


def decode(lines: Iterable[bytes]) -> Iterator[FileRecord]:
    """Read a manifest line by line; each record has inode and times 0.

    Args:
        lines: with their line ends, as a binary file gives them.

    Raises:
        ParseError: at the first line that is not as it must be; what came before may not be used.
    """
    source = iter(lines)
    if next(source, b"") != HEAD:
        raise ParseError("expected the manifest of a firmware's files")
    before, count = _START, 0
    for count, line in enumerate(source, 1):
        record, before = _record(line, before)
        if count > MAX_FILES:
            raise ParseError(f"expected at most {MAX_FILES} files")
        yield record
    if not count:
        raise ParseError("expected at least one file in the manifest")


def _record(line: bytes, before: bytes) -> tuple[FileRecord, bytes]:
    if not line.endswith(b"\n"):
        raise ParseError("expected each line of a manifest to end: it was cut")
    value = parse(line[:-1], max_bytes=MAX_LINE)
    if canonical(value) != line[:-1] or not isinstance(value, list) or len(value) != _COLUMNS:
        raise ParseError(f"expected a canonical list of {_COLUMNS}, got {strict.shown(value)}")
    path, kind, mode, uid, gid, size, digest, capabilities = value
    name = _path(path)
    place = name.strip("/").replace("/", "\0").encode()
    if place <= before and before != _START:
        raise ParseError(f"expected paths in the order of a walk, got {strict.shown(name)} late")
    record = FileRecord(
        path=name,
        kind=str(kind),
        mode=strict.number(mode, "a mode", 0, _MAX_MODE),
        uid=strict.number(uid, "a uid", 0, _MAX_ID),
        gid=strict.number(gid, "a gid", 0, _MAX_ID),
        size_bytes=strict.number(size, "a size", 0),
        inode=0,
        mtime_ns=0,
        ctime_ns=0,
        digest=strict.matched(digest, "a digest", _DIGEST),
        capabilities=strict.matched(capabilities, "capabilities in hex", _CAPABILITIES),
    )
    _check(record)
    return record, place


def _path(value: object) -> str:
    path = value if isinstance(value, str) else ""
    segments = path.split("/")
    is_plain = path[:1] == "/" and not {"", ".", ".."} & {*segments[1:]} and "\0" not in path
    if (not is_plain and path != "/") or len(path.encode()) > _MAX_PATH:
        raise ParseError(f"expected an absolute path, got {strict.shown(value)}")
    return path


def _check(one: FileRecord) -> None:
    """The kind is that of the mode, and what has content has a digest."""
    if _TYPES.get(one.kind, -1) != stat.S_IFMT(one.mode) and (
        one.kind != "other" or stat.S_IFMT(one.mode) in _TYPES.values()
    ):
        raise ParseError(f"expected the kind of mode {one.mode:o}, got {strict.shown(one.kind)}")
    is_unread = one.kind == "file" and one.size_bytes > _UNREAD_FROM
    if not is_unread and bool(one.digest) != (one.kind in ("file", "link")):
        raise ParseError(f"expected a digest of files and links alone at {strict.shown(one.path)}")
