"""Every write that a power cut must not undo or halve goes through here.

Rule 1: what a function promises, it promises after a power cut at any of its steps: the old content
or the new one under a name, never neither and never a mixture. Only `append` and `overwrite` change
a file in place, and say what they leave.
Rule 2: a name is durable when its folder is synced, not when its file is (fsync(2)).
Rule 3: the disk is changed by calls of `disk` alone, so that tests can refuse any one of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vedette.errors import StoreError

disk = os
"""The system calls; tests put others in their place (tests/simulators/failing_disk.py)."""

_TEMPORARY = ".new"
_PRIVATE = 0o700
_IN_PLACE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folder(folder: Path, mode: int = _PRIVATE) -> None:
    """Make a folder, and its parents; one that is there gets the mode.

    Args:
        folder: that is made.
        mode: 0700 lets nobody but us enter.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        make_missing(folder, mode)
        if stat.S_IMODE(folder.stat().st_mode) != mode:  # a read-only disk refuses even this
            folder.chmod(mode)
    except OSError as error:
        raise StoreError(f"{folder}: cannot make the folder: {error.strerror}") from error


def make_missing(folder: Path, mode: int) -> None:
    """Make a folder that is not there yet, and its parents (0755); their names are durable.

    Raises:
        OSError: it cannot be made.
    """
    missing: list[Path] = []
    above = folder
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    for made in reversed(missing):
        try:
            disk.mkdir(made, mode if made == folder else 0o755)
        except FileExistsError:  # another process was faster, or it is no folder
            if not made.is_dir():
                raise
        sync_folder(made.parent)


def write(path: Path, data: bytes) -> None:
    """Replace a file by new content with mode 0600: new file, fsync, rename, fsync of the folder.

    Raises:
        StoreError: the disk did not take it; the old content stands, or (where only the last
            fsync failed) the new one.
    """
    write_for(path, data, mode=0o600)


def write_for(path: Path, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """As `write`, for others to read: it has its owner and mode before it has a byte.

    Args:
        path: of the file.
        data: all that it holds from then on.
        mode: that it gets, whatever the umask is.
        owner: uid and gid that it gets; None leaves them to who we are.

    Raises:
        StoreError: as `write`.
    """
    temporary = _temporary(path)
    with _explained(path, "cannot be written", temporary):
        _write_synced(temporary, data, mode, owner)
        disk.rename(temporary, path)
        sync_folder(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file (made with mode 0600 if it is not there) and sync it.

    After a power cut the file has what it had, and any part of `data`, in which blocks may read as
    zeros: a reader needs a checksum for each record.

    Raises:
        StoreError: the disk did not take all of it; the file has its old length again, as far as
            the disk lets it be cut.
    """
    with _explained(path, "cannot be appended to"):
        is_new = not path.exists()
        with opened(path, _IN_PLACE | os.O_APPEND | os.O_CREAT) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                disk.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    disk.ftruncate(descriptor, size)
                raise
        if is_new:
            sync_folder(path.parent)


def overwrite(path: Path, data: bytes, offset: int = 0) -> None:
    """Write into a file or device that is there, in place, in one call, and sync it.

    After a power cut each block of 512 bytes has its old or its new content: the caller keeps a
    second copy, or an intent that finishes it.

    Raises:
        StoreError: it is not there, is a link, or the disk did not take all of it.
    """
    with _explained(path, "cannot be overwritten"), opened(path, _IN_PLACE) as descriptor:
        write_at(descriptor, data, offset)
        disk.fsync(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it at an offset of an open slot, unsynced; `sync` makes it durable.

    Raises:
        OSError: the disk did not take all of it.
    """
    view = memoryview(data)
    while view:
        count = disk.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def sync(descriptor: int) -> None:
    """Make an open file's content and length durable.

    Raises:
        OSError: what was written since the last sync may be lost. A second call that succeeds
            proves nothing (the kernel tells each failure once): write it again.
    """
    disk.fsync(descriptor)


def switch_link(link: Path, target: str) -> None:
    """Let a symbolic link lead to `target`, by rename of a new one: the name is never without.

    Raises:
        StoreError: the disk did not take it, or a folder has the name; the link leads where it
            led, or (where only the last fsync failed) to the target.
    """
    temporary = _temporary(link)
    with _explained(link, f"cannot be made to lead to {target!a}", temporary):
        with suppress(FileNotFoundError):
            disk.unlink(temporary)
        disk.symlink(target, temporary)
        disk.rename(temporary, link)
        sync_folder(link.parent)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name, replacing a file that has it; both folders are synced.

    What it holds must be durable before: see `sync_tree`.

    Raises:
        StoreError: the disk did not do it.
    """
    with _explained(source, f"cannot become {target}"):
        disk.rename(source, target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


def link(source: Path, target: Path) -> None:
    """Give a file one more name (link(2)), unsynced: see `sync_tree`.

    Raises:
        StoreError: the disk did not do it, or the name is taken.
    """
    with _explained(target, f"cannot be made a name of {source}"):
        disk.link(source, target, follow_symlinks=False)


def sync_tree(folder: Path) -> None:
    """Make all files and folders below a folder durable, and its own entries; follows no link.

    Raises:
        StoreError: something in it could not be synced.
    """
    with _explained(folder, "cannot be synced"):
        for place, _, names in os.walk(folder, topdown=False, onerror=_raise):
            for path in (Path(place, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    _sync_file(path)
            sync_folder(Path(place))


def remove(path: Path) -> None:
    """Remove a file or link, if it is there, and sync its folder.

    Raises:
        StoreError: the disk did not let it go, or a folder has the name.
    """
    with _explained(path, "cannot be removed"):
        try:
            disk.unlink(path)
        except FileNotFoundError:
            return
        sync_folder(path.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it holds, if it is there, and sync its parent; follows no link.

    A power cut may leave part of it: take it away from where it counts (`rename`) before.

    Raises:
        StoreError: the disk did not let all of it go.
    """
    with _explained(folder, "cannot be removed"):
        if not folder.exists():
            return
        for place, folders, names in os.walk(folder, topdown=False, onerror=_raise):
            for path in (Path(place, name) for name in (*names, *folders)):
                if path.is_dir() and not path.is_symlink():
                    disk.rmdir(path)
                else:
                    disk.unlink(path)
        disk.rmdir(folder)
        sync_folder(folder.parent)


def read(path: Path, max_bytes: int) -> bytes | None:
    """The content of a file, or None where there is none.

    Raises:
        StoreError: it cannot be read or is longer than expected.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise StoreError(f"{path}: expected at most {max_bytes} bytes, found more")
    return data


def sync_folder(folder: Path) -> None:
    """Make renames, additions and removals in a folder durable.

    Raises:
        OSError: they may be lost.
    """
    with opened(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) as descriptor:
        disk.fsync(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether this is a `write` or `switch_link` that a power cut ended."""
    return path.name.endswith(_TEMPORARY)


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of a path, closed afterwards; what it makes has mode 0600.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = disk.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_synced(
    path: Path, data: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    with opened(path, _IN_PLACE | os.O_CREAT | os.O_TRUNC) as descriptor:
        if owner is not None:
            os.fchown(descriptor, *owner)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
        _write_all(descriptor, data)
        disk.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[disk.write(descriptor, view) :]


def _sync_file(path: Path) -> None:
    with opened(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC) as descriptor:
        disk.fsync(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + _TEMPORARY)


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _explained(path: Path, what: str, temporary: Path | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                disk.unlink(temporary)
        raise StoreError(f"{path}: {what}: {error.strerror or error}") from error
