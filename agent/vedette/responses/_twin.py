"""Makes one file like another: content, owner, attributes with ACLs and capabilities, mode, times.

Rule: what the file system of the new one cannot hold is an OSError, never left out in silence.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from typing import Final

READ_BYTES: Final = 262_144
HASH_BYTES_MAX: Final = 64 * 1024 * 1024
"""As for the digests in findings (daemon/facts.py): a longer file has none."""

_ZEROS: Final = bytes(READ_BYTES)


def digest_of(descriptor: int) -> str:
    """SHA-256 in hex of a whole file, or "" where it is longer than HASH_BYTES_MAX."""
    total, offset = hashlib.sha256(), 0
    while block := os.pread(descriptor, READ_BYTES, offset):
        total.update(block)
        offset += len(block)
        if offset > HASH_BYTES_MAX:
            return ""
    return total.hexdigest()


def copy_content(source: int, target: int) -> str:
    """Fill an empty file with what another one holds, and return the SHA-256 in hex.

    Blocks of zeros become holes: a sparse file takes no more room than before.

    Raises:
        OSError: the disk is full (ENOSPC), or the content is longer than HASH_BYTES_MAX (EFBIG).
    """
    total, offset = hashlib.sha256(), 0
    while block := os.pread(source, READ_BYTES, offset):
        total.update(block)
        if block != _ZEROS[: len(block)]:
            write(target, block, offset)
        offset += len(block)
        if offset > HASH_BYTES_MAX:
            raise OSError(errno.EFBIG, f"longer than {HASH_BYTES_MAX >> 20} MB")
    os.ftruncate(target, offset)
    return total.hexdigest()


def copy_attributes(source: int, target: int, mode: int) -> None:
    """Give a file owner, extended attributes and times of another, and this mode (07777).

    Raises:
        OSError: one of them cannot be held by the target's file system, or not be set by us.
    """
    status = os.fstat(source)
    # chown(2) clears set-id bits and capabilities, and an ACL sets the mode: hence this order.
    os.fchown(target, status.st_uid, status.st_gid)
    set_attributes(target, attributes_of(source))
    os.fchmod(target, mode)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def attributes_of(descriptor: int) -> dict[str, bytes]:
    """All extended attributes of a file by name: ACLs, capabilities and labels are among them."""
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def set_attributes(descriptor: int, wanted: Mapping[str, bytes]) -> None:
    """Give a file exactly these attributes; a folder's default ACL may have given it others."""
    there = attributes_of(descriptor)
    for name in there.keys() - wanted.keys():
        os.removexattr(descriptor, name)
    for name, value in wanted.items():
        if there.get(name) != value:
            os.setxattr(descriptor, name, value)


def is_regular(status: os.stat_result) -> bool:
    """Whether this is a file with content, and not a link, folder, device or pipe."""
    return stat.S_ISREG(status.st_mode)


def write(target: int, block: bytes, offset: int) -> None:
    """Write all of a block, however often the disk takes only a part."""
    view = memoryview(block)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written
