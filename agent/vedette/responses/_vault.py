"""The root-only folder of files that were taken from their places: one file for each response.

Rule 1: a file is taken by its name and then compared with the descriptor that was judged: what
somebody put there in between goes back to where it was.
Rule 2: on the vault's file system the file itself moves, with all that belongs to it. From
another one it is copied, whole and synced, before it is removed.
Rule 3: what cannot be copied (other names, too large, a full disk, attributes that the vault's
file system does not know) is kept on its own file system, in a folder beside its place that only
root can enter.
Rule 4: each step leaves a state from which `give_back` restores the file exactly.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from vedette.responses._aside import (
    BESIDE,
    CONTENT,
    RETURNING,
    beside_at,
    beside_of,
    check_private,
    made_beside,
    remove,
    remove_beside,
    status_of,
)
from vedette.responses._file_calls import exchange, read_only, rename_new, sync
from vedette.responses._place import Place, RefusedError
from vedette.responses._twin import HASH_BYTES_MAX, copy_attributes, copy_content, is_regular

SPARED_BYTES: Final = 16 * 1024 * 1024
"""What a copy leaves of the vault's disk: the journal's default size; who fills our disk would
silence us."""

PART: Final = ".part"

_MAKE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Kept(StrEnum):
    """Where a taken file lies."""

    MOVED = "store"
    COPIED = "store-copy"
    BESIDE = "beside"


class Lying(NamedTuple):
    """A name in an open folder of ours."""

    name: str
    folder: int


class Vault:
    """Takes files and gives them back.

    Args:
        folder: of ours alone; made when the first file is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder

    def take(self, key: str, place: Place, judged: int, *, may_copy: bool = True) -> Kept:
        """Take away from its place the very file that a descriptor stands for.

        Args:
            key: the response's id.
            judged: descriptor of the file, open for reading.
            may_copy: False for a file that is still being written, of which a copy says little.

        Raises:
            RefusedError: something else has the name by now; that is where it was.
            OSError: the file is where it was, unless `give_back` finds it.
        """
        with self._open() as vault:
            try:
                os.rename(place.name, key, src_dir_fd=place.folder, dst_dir_fd=vault)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                self._verify(key, vault, place, judged)
                sync(vault)
                sync(place.folder)
                return Kept.MOVED
            return self._take_across(key, vault, place, judged, may_copy=may_copy)

    def give_back(self, key: str, place: Place, mode: int) -> bool:
        """Bring a taken file back to its place; False when there is none.

        Args:
            key: the response's id.
            place: where it is to be, as it was when it was taken.
            mode: 07777, for a file whose mode was taken from it.

        Raises:
            FileExistsError: something has its name; the taken file stays where it is.
            OSError: it stays where it is.
        """
        with self._open() as vault:
            is_back = self._back_from_beside(key, place, mode)
            if not is_back and status_of(key, vault) is not None:
                self._back_from_vault(key, vault, place, mode)
                is_back = True
            for name in (key, key + PART) if is_back else (key + PART,):
                remove(name, vault)
            remove_beside(key, place)
            sync(vault)
        return is_back

    def forget(self, key: str, place: Place) -> None:
        """Remove what is left of a file that is in its place again."""
        with self._open() as vault:
            remove(key, vault)
            remove(key + PART, vault)
            remove_beside(key, place)

    def status(self, key: str, place: Place) -> os.stat_result | None:
        """The taken file, or None; a copy that was not finished does not count."""
        with self.lying(key, place) as lying:
            return status_of(lying.name, lying.folder)

    @contextmanager
    def lying(self, key: str, place: Place) -> Iterator[Lying]:
        """The name and the folder that the taken file has now, or would have in the vault."""
        with self._open() as vault, beside_at(key, place) as beside:
            is_beside = beside >= 0 and status_of(CONTENT, beside) is not None
            yield Lying(CONTENT, beside) if is_beside else Lying(key, vault)

    @contextmanager
    def opened(self, key: str, place: Place) -> Iterator[int]:
        """A descriptor to read the taken file by, wherever it lies.

        Raises:
            OSError: there is none, or it is no file with content.
        """
        with self.lying(key, place) as lying:
            descriptor = read_only(lying.name, lying.folder)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def adopt(self, key: str, place: Place) -> None:
        """Move what lies beside a place into the vault, if that is on the same file system."""
        with self._open() as vault, beside_at(key, place) as beside:
            try:
                os.rename(CONTENT, key, src_dir_fd=beside, dst_dir_fd=vault)
            except OSError:
                return  # it is as safe where it lies
            sync(vault)

    def path_of(self, key: str, place: Place) -> str:
        """Where a taken file lies, for people."""
        with beside_at(key, place) as beside:
            if beside >= 0 and status_of(CONTENT, beside) is not None:
                return f"{beside_of(key, place)}/{CONTENT}"
        return str(self._path / key)

    @contextmanager
    def _open(self) -> Iterator[int]:
        if not self._path.exists():
            self._make()
        descriptor = os.open(self._path, _FOLDER)
        try:
            check_private(descriptor, str(self._path))
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        """With a durable name: what lies in the folder is lost with it."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        above = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync(above)
        finally:
            os.close(above)

    def _take_across(
        self, key: str, vault: int, place: Place, judged: int, *, may_copy: bool
    ) -> Kept:
        try:
            with made_beside(key, place) as beside:
                os.rename(place.name, CONTENT, src_dir_fd=place.folder, dst_dir_fd=beside)
                self._verify(CONTENT, beside, place, judged)
                sync(place.folder)
                if not may_copy or not _copy(key, vault, judged):
                    return Kept.BESIDE
                os.unlink(CONTENT, dir_fd=beside)
        finally:
            remove_beside(key, place)
        sync(place.folder)
        return Kept.COPIED

    def _verify(self, name: str, folder: int, place: Place, judged: int) -> None:
        """Keep what is the judged file; bring back what somebody put into its place."""
        status = status_of(name, folder)
        if status is not None and os.path.samestat(status, os.fstat(judged)):
            return
        if status is not None:
            _return(name, folder, place)
        raise RefusedError(
            "another file was put into its place while it was moved: that one is back where it was"
        )

    def _back_from_beside(self, key: str, place: Place, mode: int) -> bool:
        with beside_at(key, place) as beside:
            if beside < 0 or status_of(CONTENT, beside) is None:
                return False
            _set_mode(CONTENT, beside, mode)
            rename_new(CONTENT, beside, place.name, place.folder)
            sync(place.folder)
        return True

    def _back_from_vault(self, key: str, vault: int, place: Place, mode: int) -> None:
        _set_mode(key, vault, mode)
        try:
            rename_new(key, vault, place.name, place.folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy_back(key, vault, place, mode)
        sync(place.folder)

    def _copy_back(self, key: str, vault: int, place: Place, mode: int) -> None:
        with made_beside(key, place) as beside:
            remove(RETURNING, beside)
            source = read_only(key, vault)
            try:
                _make_twin(source, RETURNING, beside, mode)
            finally:
                os.close(source)
            rename_new(RETURNING, beside, place.name, place.folder)


def _copy(key: str, vault: int, judged: int) -> bool:
    """Whether the vault now holds a whole copy; where not, nothing of it is left."""
    if not _may_copy(vault, os.fstat(judged)):
        return False
    part = key + PART
    try:
        remove(part, vault)
        _make_twin(judged, part, vault, 0)
        os.rename(part, key, src_dir_fd=vault, dst_dir_fd=vault)
        sync(vault)
    except OSError:
        with suppress(OSError):
            remove(part, vault)
        return False
    return True


def _may_copy(vault: int, status: os.stat_result) -> bool:
    """Whether a copy can stand for the file and leaves the disk enough room."""
    disk = os.fstatvfs(vault)
    room = disk.f_bavail * disk.f_frsize - min(status.st_blocks * 512, status.st_size)
    return status.st_nlink <= 1 and status.st_size <= HASH_BYTES_MAX and room >= SPARED_BYTES


def _make_twin(source: int, name: str, folder: int, mode: int) -> None:
    target = os.open(name, _MAKE, 0o600, dir_fd=folder)
    try:
        before = os.fstat(source)
        copy_content(source, target)
        copy_attributes(source, target, mode)
        os.fsync(target)
        if not _is_unchanged(before, os.fstat(source)):
            raise OSError(errno.EBUSY, "it was written to while it was copied")
    finally:
        os.close(target)


def _is_unchanged(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)


def _return(name: str, folder: int, place: Place) -> None:
    """Put back what was taken by mistake, whatever has its name by now."""
    try:
        rename_new(name, folder, place.name, place.folder)
    except FileExistsError:
        exchange(name, folder, place.name, place.folder)
        # What had the name for this moment keeps a name of its own in the same folder.
        rename_new(name, folder, f"{place.name}{BESIDE}displaced", place.folder)


def _set_mode(name: str, folder: int, mode: int) -> None:
    """Give a taken file its mode again: 0 is what it was given when it was taken."""
    status = status_of(name, folder)
    if status is not None and is_regular(status) and not stat.S_IMODE(status.st_mode):
        os.chmod(name, mode, dir_fd=folder)  # nobody else can enter this folder
