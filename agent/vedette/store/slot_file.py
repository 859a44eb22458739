"""The content of a slot: a block device or a file, written behind and read past the page cache.

Rule 1: what is read here comes from the disk: by direct reads (O_DIRECT), or, where the file system
has none, after the pages are synced and thrown away (posix_fadvise(2)).
Rule 2: what is written is on its way to the disk at once and leaves the page cache: a device of
64 MB neither stalls on a gigabyte of dirty pages nor loses its own to an update.
Rule 3: a device that is mounted is not opened (O_EXCL, open(2)).
Rule 4: only StoreError leaves; it names slot and offset.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vedette.errors import StoreError
from vedette.store import durable

PIECE_BYTES = 1 << 20
"""What is read or written at a time: a multiple of every disk's block."""
BEHIND_BYTES = 8 << 20
"""After so many bytes a write waits until those before them are on the disk."""

_ALIGN = 4096
_WAIT_BEFORE, _WRITE = 1, 2  # sync_file_range(2)


class SlotFile:
    """An open slot; one thread writes, others may read.

    Args:
        path: of the device or file; a link is followed by whoever names it, not here.
        size_bytes: of the image that it is to hold, or holds.
        is_read_only: for the slot that runs.

    Attributes:
        path: as given.
        size_bytes: as given.
        written_bytes: what was handed to the disk since it was opened.

    Raises:
        StoreError: it is not there, mounted, too small, or neither a device nor a file.
    """

    def __init__(self, path: Path, size_bytes: int, *, is_read_only: bool = False) -> None:
        self.path, self.size_bytes = path, size_bytes
        self.written_bytes = 0
        self._read_only = is_read_only
        self._unsent = 0
        with _explained(path, "cannot be opened as a slot"):
            kind = os.stat(path).st_mode if path.exists() else 0  # noqa: PTH116 - of a device too
            self._descriptor = _open(path, kind, is_read_only=is_read_only)
        try:
            self._prepare(kind)
            self._direct = _open_direct(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        for descriptor in {self._descriptor, self._direct} - {-1}:
            os.close(descriptor)
        self._descriptor = self._direct = -1

    def write(self, data: memoryview, offset: int) -> None:
        """Write a piece and send what came before it on its way to the disk."""
        with _explained(self.path, f"cannot be written at {offset}"):
            durable.write_at(self._descriptor, data, offset)
        self.written_bytes += len(data)
        self._unsent += len(data)
        if self._unsent >= BEHIND_BYTES:
            self._send()

    def sync(self) -> None:
        """Make all that was written durable, and let none of it stay in the page cache."""
        with _explained(self.path, "cannot be synced"):
            if not self._read_only:
                durable.sync(self._descriptor)
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        self._unsent = 0

    def read(self, buffer: memoryview, offset: int, length: int) -> int:
        """Read a piece from the disk.

        Args:
            buffer: of `piece_buffer`; what lies behind the length may be overwritten.
            offset: a multiple of 4096.
            length: at most PIECE_BYTES, and not beyond the image.

        Returns:
            How many bytes were read: `length`, or less where a file is shorter than the image.
        """
        with _explained(self.path, f"cannot be read at {offset}"):
            whole = -(-length // _ALIGN) * _ALIGN
            done = 0
            while done < length:
                count = os.preadv(self._direct, [buffer[done:whole]], offset + done)
                if count == 0 or count % _ALIGN:
                    done += count
                    break
                done += count
        return min(done, length)

    def _send(self) -> None:
        """Wait for what was sent before, start what came since, and forget pages that are written.

        A hint (sync_file_range(2)): where libc or kernel has none, `sync` does all of it.
        """
        call = getattr(_LIBC, "sync_file_range", None)
        if call is not None:
            everything = ctypes.c_int64(0)
            call(self._descriptor, everything, everything, _WAIT_BEFORE | _WRITE)
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        self._unsent = 0

    def _prepare(self, kind: int) -> None:
        with _explained(self.path, "cannot be sized"):
            size = os.lseek(self._descriptor, 0, os.SEEK_END)
            if stat.S_ISBLK(kind):
                if size < self.size_bytes:
                    raise StoreError(
                        f"{self.path}: expected room for {self.size_bytes} bytes, it has {size}"
                    )
            elif size > self.size_bytes and not self._read_only:
                durable.disk.ftruncate(self._descriptor, self.size_bytes)


def piece_buffer() -> memoryview:
    """Memory for one piece, aligned as direct reads need it."""
    return memoryview(mmap.mmap(-1, PIECE_BYTES))


def _open(path: Path, kind: int, *, is_read_only: bool) -> int:
    if kind and not stat.S_ISBLK(kind) and not stat.S_ISREG(kind):
        raise StoreError(f"{path}: expected a block device or a file to hold a firmware")
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    if is_read_only:
        return os.open(path, flags | os.O_RDONLY)
    flags |= os.O_EXCL if stat.S_ISBLK(kind) else os.O_CREAT
    descriptor = durable.disk.open(path, flags | os.O_RDWR, 0o600)
    if not kind:  # a file that was made: its name has to outlive a power cut too
        durable.sync_folder(path.parent)
    return descriptor


def _open_direct(path: Path) -> int:
    """A descriptor whose reads do not see the page cache, or (RAM disks, FUSE) see it empty."""
    with _explained(path, "cannot be opened to be read back"):
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


_LIBC = ctypes.CDLL(None)


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: {what}: {error.strerror or error}") from error
