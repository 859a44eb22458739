"""The files of a root file system as a signed manifest: from a folder, or from a tar.

Rule 1: owners and modes are taken as they are there; a tar made by the image's build has the right
ones, a folder only if it was unpacked by root.
Rule 2: what cannot be read is an error, never left out: a device would find it missing.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vedette.codec.file_manifest import encode
from vedette.daemon.file_walk import read_record, walk
from vedette.errors import ParseError, RequestError
from vedette.model.baseline import FileRecord

_READ_BYTES = 1 << 20
_CAPABILITIES = "SCHILY.xattr.security.capability"
_TYPES = {
    tarfile.REGTYPE: stat.S_IFREG, tarfile.AREGTYPE: stat.S_IFREG, tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR, tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO,
}  # fmt: skip
_KINDS = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "dir"}


def write_manifest(source: Path, into: BinaryIO) -> None:
    """Write the manifest of a root file system.

    Args:
        source: a folder or a tar.
        into: gets the lines.

    Raises:
        RequestError: it is neither, or something in it cannot be signed.
    """
    try:
        into.writelines(encode(_of_folder(source) if source.is_dir() else _of_tar(source)))
    except (OSError, tarfile.TarError) as error:
        raise RequestError(f"{source}: expected a folder or a tar: {error}") from error
    except ParseError as error:
        raise RequestError(f"{source}: cannot be signed: {error}") from error


def _of_folder(source: Path) -> Iterator[FileRecord]:
    root = source.resolve()

    def refuse(path: str, reason: str) -> None:
        raise RequestError(f"{path}: {reason}")

    for entry in walk(str(root), refuse, lambda _: False):
        record = read_record(entry, refuse).record
        yield record._replace(path=record.path[len(str(root)) :] or "/")


def _of_tar(source: Path) -> Iterator[FileRecord]:
    """Read in one pass; hard links have the content of what they link to."""
    found: dict[str, FileRecord] = {}
    with tarfile.open(source, "r|*") as archive:
        for member in archive:
            path = _absolute(member.name)
            if member.islnk():
                target = found.get(_absolute(member.linkname))
                if target is None:
                    raise RequestError(f"{source}: {path} links to what is not there before it")
                found[path] = target._replace(path=path)
            else:
                found[path] = _record(archive, member, path)
    if "/" not in found:
        found["/"] = FileRecord("/", "dir", stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0, 0, "", "")
    yield from sorted(found.values(), key=lambda one: os.fsencode(one.path.strip("/")).split(b"/"))


def _record(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> FileRecord:
    file_type = _TYPES.get(member.type)
    if file_type is None:
        raise RequestError(f"{path}: expected a file, link, folder or device in the tar")
    digest = ""
    if file_type == stat.S_IFREG:
        digest = _digest(archive, member)
    elif file_type == stat.S_IFLNK:
        digest = hashlib.sha256(os.fsencode(member.linkname)).hexdigest()
    capabilities = member.pax_headers.get(_CAPABILITIES, "")
    size = len(os.fsencode(member.linkname)) if file_type == stat.S_IFLNK else member.size
    return FileRecord(
        path=path,
        kind=_KINDS.get(file_type, "other"),
        mode=file_type | stat.S_IMODE(member.mode),
        uid=member.uid,
        gid=member.gid,
        size_bytes=size,
        inode=0,
        mtime_ns=0,
        ctime_ns=0,
        digest=digest,
        capabilities=os.fsencode(capabilities).hex(),
    )


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = archive.extractfile(member)
    total = hashlib.sha256()
    while stream is not None and (data := stream.read(_READ_BYTES)):
        total.update(data)
    return total.hexdigest()


def _absolute(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RequestError(f"{name!a}: expected no .. in a tar")
    return "/" + "/".join(parts)
