"""A fanotify group with file system marks on everything that holds a watched tree.

Rule 1: features are given up one by one: child handles and FAN_RENAME need Linux 5.17, names and
file system marks 5.9; below that there is no group.
Rule 2: marks are set again whenever asked: a repeated mark changes nothing, a new mount needs one.
Rule 3: no descriptor of a watched file system outlives a batch, or nobody could unmount it.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from vedette.codec.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    FSID_BYTES,
    MOVED_FROM,
    MOVED_TO,
    ONDIR,
    RENAME,
    handle_of,
)
from vedette.errors import SensorError
from vedette.sensors._filesystems import Filesystem, filesystems_of, read_mounts
from vedette.sensors._libc import (
    FAN_REPORT_DFID_NAME,
    FAN_REPORT_FID,
    FAN_REPORT_TARGET_FID,
    FanotifyCalls,
)
from vedette.sensors._trees import Place, Trees

READ_BYTES: Final = 65_536
LIFT: Final = (
    "kernel: CONFIG_FANOTIFY=y, Linux 5.9 or newer (5.17 for renames with both names)",
    "capabilities: CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH (run as root)",
)

_MASK = ATTRIB | CLOSE_WRITE | CREATE | DELETE | ONDIR
_MOVED = MOVED_FROM | MOVED_TO
_NAMES = FAN_REPORT_DFID_NAME | FAN_REPORT_FID
FEATURES: Final = (
    (_NAMES | FAN_REPORT_TARGET_FID, RENAME),
    (_NAMES | FAN_REPORT_TARGET_FID, _MOVED),
    (_NAMES, RENAME),
    (_NAMES, _MOVED),
    (FAN_REPORT_DFID_NAME, _MOVED),
)
"""(flags of fanotify_init, bits for renames), best first."""

_REFUSED = frozenset((errno.EINVAL, errno.EOPNOTSUPP, errno.ENODEV, errno.EXDEV))


class Group:
    """One group; `descriptor` is nonblocking.

    Args:
        trees: what is watched.
        features: the combinations to try, best first.

    Raises:
        SensorError: the kernel, the capabilities or a file system do not allow it.
        OSError: /proc is missing, or there are no descriptors left.
    """

    def __init__(self, trees: Trees, features: tuple[tuple[int, int], ...] = FEATURES) -> None:
        self.trees = trees
        self.filesystems: list[Filesystem] = []
        self.left_out: tuple[str, ...] = ()
        self._calls = FanotifyCalls()
        self._by_fsid: dict[bytes, list[Filesystem]] = {}
        self._mounts: dict[str, int] = {}
        self.descriptor, self._mask = self._make(features)
        try:
            self.mark(trees)
        except (OSError, SensorError):
            self.close()
            raise

    def close(self) -> None:
        """Give the group back to the kernel; its marks go with it."""
        self.end_batch()
        os.close(self.descriptor)

    def read(self) -> bytes:
        """The next events.

        Raises:
            BlockingIOError: there are none.
        """
        return os.read(self.descriptor, READ_BYTES)

    def mark(self, trees: Trees) -> bool:
        """Mark every file system of the trees as they are now.

        Returns:
            Whether trees or file systems are others than before: cached paths are void then.

        Raises:
            SensorError: a file system that holds a tree takes no mark.
        """
        known, left_out = filesystems_of(trees, read_mounts())
        marked: list[Filesystem] = []
        for filesystem in known:
            try:
                self._calls.mark_filesystem(self.descriptor, self._mask, filesystem.directory)
            except OSError as error:
                if filesystem.holds_root and error.errno != errno.ENOENT:
                    raise _refusal(filesystem, error) from error
                left_out.append(f"{filesystem.directory} ({filesystem.kind}): {error.strerror}")
                continue
            marked.append(filesystem)
        is_other = trees.roots != self.trees.roots or marked != self.filesystems
        self.trees, self.filesystems, self.left_out = trees, marked, tuple(left_out)
        self._by_fsid = _by_fsid(marked)
        return is_other

    def place(self, path: str) -> Place | None:
        """What matters in a directory, by its path."""
        return self.trees.place(path)

    def resolve(self, key: bytes) -> str | None:
        """Where a directory is now, by its key; None when it is gone."""
        known = self._by_fsid.get(key[:FSID_BYTES]) or self._by_fsid.get(key[:4]) or []
        found: str | None = None
        for filesystem in known:  # one file system may be mounted at several places
            found = self._path_through(filesystem.directory, handle_of(key)) or found
            if found is not None and self.trees.place(found) is not None:
                break
        return found

    def end_batch(self) -> None:
        """Let go of the file systems, so that they can be unmounted."""
        for descriptor in self._mounts.values():
            os.close(descriptor)
        self._mounts.clear()

    def _make(self, features: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        """The richest group that this kernel gives, tried on the first tree's file system."""
        known, left_out = filesystems_of(self.trees, read_mounts())
        first = next((filesystem for filesystem in known if filesystem.holds_root), None)
        if first is None:
            raise SensorError(f"fanotify: no watched tree can be marked: {'; '.join(left_out)}")
        for flags, rename in features:
            group = self._try(flags, _MASK | rename, first)
            if group is not None:
                return group, _MASK | rename
        raise SensorError(
            f"fanotify: this kernel gives no file system mark with names on {first.directory} "
            f"({first.kind}); {LIFT[0]}"
        )

    def _try(self, flags: int, mask: int, first: Filesystem) -> int | None:
        try:
            group = self._calls.init(flags)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise SensorError(f"fanotify_init: {error.strerror}; {'; '.join(LIFT)}") from error
        try:
            self._calls.mark_filesystem(group, mask, first.directory)
        except OSError as error:
            os.close(group)
            if error.errno == errno.EINVAL:
                return None
            raise _refusal(first, error) from error
        return group

    def _path_through(self, directory: str, handle: bytes) -> str | None:
        """The path of a directory as one mount shows it; None where it shows it not at all."""
        try:
            descriptor = self._calls.open_by_handle(self._mount(directory), handle)
        except OSError:
            return None
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - once per cache miss
            if path.endswith(" (deleted)") and os.fstat(descriptor).st_nlink == 0:
                path = path.removesuffix(" (deleted)")
        except OSError:
            return None
        else:
            # A part of a file system that is mounted again shows what lies outside of it as "/".
            return path if path != "/" or directory == "/" else None
        finally:
            os.close(descriptor)

    def _mount(self, directory: str) -> int:
        if directory not in self._mounts:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._mounts[directory] = os.open(directory, flags)
        return self._mounts[directory]


def _by_fsid(filesystems: list[Filesystem]) -> dict[bytes, list[Filesystem]]:
    """By the whole fsid and, where libc tells only its first word (musl, 32 bit), by that."""
    found: dict[bytes, list[Filesystem]] = {}
    for filesystem in filesystems:
        is_whole = filesystem.fsid[4:] != bytes(4)
        key = filesystem.fsid if is_whole else filesystem.fsid[:4]
        found.setdefault(key, []).append(filesystem)
    return found


def _refusal(filesystem: Filesystem, error: OSError) -> SensorError:
    why = "takes no file system mark" if error.errno in _REFUSED else "could not be marked"
    return SensorError(
        f"fanotify: {filesystem.directory} ({filesystem.kind}) {why}: {error.strerror}; "
        "inotify or the scan must watch it"
    )
