"""A tar archive of a repository, read in place: nothing is unpacked, so nothing can be planted.

    tar -C repository/public -cf repository.tar metadata targets

Rule 1: an archive is taken whole or not at all: a link, a device, a way out, a name that comes
twice or a member that reaches beyond its end refuses all of it, by name.
Rule 2: it is not compressed: what is small on the way can be anything in memory.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from vedette.codec import tar
from vedette.codec.install_link import check_runs
from vedette.codec.tar import BLOCK_BYTES, Kind
from vedette.daemon.updater.file_reader import FileReader
from vedette.errors import AbsentError, FetchError, ParseError
from vedette.ports.release_source import Reader, ReleaseSource

MAX_MEMBERS: Final = 100_000
"""Ours: some 20 MB of index; metadata of so many targets would be refused long before."""
FOLDERS: Final = frozenset({"metadata", "targets"})

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Extent(NamedTuple):
    offset: int
    size: int


class ArchiveSource(ReleaseSource):
    """The folders metadata and targets of an archive, which may lie in one more folder.

    Args:
        path: of the archive.

    Raises:
        FetchError: it cannot be opened, or is no plain file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[str, _Extent] | None = None
        try:
            self._descriptor = os.open(path, _OPEN)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise FetchError(f"{path}: cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise FetchError(f"{path}: expected a plain file")
        self._size = status.st_size

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file, its name unquoted as a web server would."""
        found = self._find(f"metadata/{unquote(name)}")
        if found.size > max_bytes:
            raise FetchError(f"{name}: expected at most {max_bytes} bytes, got {found.size}")
        return self._read(found.offset, found.size)

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file, back to back."""
        check_runs(runs)
        extent = self._find(f"targets/{path}")
        return FileReader(
            os.dup(self._descriptor), path, list(runs), start=extent.offset, size=extent.size
        )

    def _find(self, name: str) -> _Extent:
        if self._members is None:
            try:
                self._members = self._index()
            except ParseError as error:
                raise FetchError(f"{self._path}: {error}; make it anew, with tar -cf") from error
        if name not in self._members:
            raise AbsentError(f"{self._path}: {name[:200]!a} is not in it")
        return self._members[name]

    def _index(self) -> dict[str, _Extent]:
        found: dict[str, _Extent] = {}
        for name, extent in self._walk():
            if name in found:
                raise ParseError(f"expected each name once, got {name[:200]!a} twice")
            found[name] = extent
            if len(found) > MAX_MEMBERS:
                raise ParseError(f"expected at most {MAX_MEMBERS} files, got more")
        return found

    def _walk(self) -> Iterator[tuple[str, _Extent]]:
        place, name, size = 0, "", -1
        while (header := tar.header(self._read(place, BLOCK_BYTES))) is not None:
            place += BLOCK_BYTES
            length = header.size if size < 0 else size
            if header.kind in {Kind.LONG_NAME, Kind.EXTENDED, Kind.GLOBAL}:
                name, size = self._extension(header, place, name, size)
                length = header.size
            else:
                if place + length > self._size:
                    raise ParseError(f"expected {length} bytes of {header.name[:200]!a}, it ends")
                path = _path(name or header.name)
                if header.kind is Kind.FILE and path:
                    yield path, _Extent(place, length)
                elif header.kind is Kind.OTHER:
                    raise ParseError(f"expected files and folders alone, {path[:200]!a} is another")
                name, size = "", -1
            place += -(-length // BLOCK_BYTES) * BLOCK_BYTES

    def _extension(self, header: tar.Header, place: int, name: str, size: int) -> tuple[str, int]:
        """The name and size that the next member has instead of its own; "" and -1 for its own."""
        if header.size > tar.MAX_EXTENSION_BYTES:
            raise ParseError(
                f"expected at most {tar.MAX_EXTENSION_BYTES} bytes of a {header.kind}, "
                f"got {header.size}"
            )
        data = self._read(place, header.size)
        if header.kind is Kind.LONG_NAME:
            return tar.long_name(data), size
        fields = tar.extended(data)
        if header.kind is Kind.GLOBAL and fields:
            raise ParseError("expected no global header about paths and sizes, got one")
        return fields.get("path", name), tar.size_of(fields["size"]) if "size" in fields else size

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise FetchError(f"{self._path}: cannot be read: {error.strerror}") from error
        if len(data) != size:
            raise FetchError(f"{self._path}: expected {size} bytes at {offset}, found its end")
        return data

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.close(self._descriptor)


def _path(name: str) -> str:
    """A member's path from metadata/ or targets/ on; "" for what lies in neither.

    Raises:
        ParseError: it leads out, or holds what no path has.
    """
    parts = name.removeprefix("./").rstrip("/").split("/")
    if name in {"", ".", "./"}:
        return ""
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise ParseError(f"expected paths below the archive's own folder, got {name[:200]!a}")
    if parts[0] not in FOLDERS:
        parts = parts[1:]
    return "/".join(parts) if len(parts) > 1 and parts[0] in FOLDERS else ""
