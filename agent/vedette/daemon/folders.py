"""The folders that belong to the agent alone.

Rule: nobody else may look into them or have made them: who could plant a file there could steer a
process of root.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from vedette.errors import DeviceError
from vedette.store import durable

PRIVATE = 0o700
PASSAGE = 0o711
"""Others may pass to a socket that is theirs by name, and list nothing."""


def prepare(path: str, key: str, *, mode: int = PRIVATE) -> Path:
    """Make a folder, or check that the one there is ours and give it this mode.

    Args:
        path: absolute.
        key: of the configuration, such as "[paths] run", for messages.
        mode: PRIVATE or PASSAGE.

    Raises:
        DeviceError: it cannot be made, or belongs to somebody else.
    """
    folder = Path(path)
    try:
        durable.make_missing(folder, mode)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise DeviceError(
                f"{path}: expected a folder of uid {os.geteuid()}, got "
                f"{stat.filemode(status.st_mode)} of uid {status.st_uid}; "
                f"remove it, or set {key} to another folder"
            )
        if stat.S_IMODE(status.st_mode) != mode:
            folder.chmod(mode)
    except OSError as error:
        raise DeviceError(
            f"{path}: cannot be used ({error.strerror}); run as root, or set {key} to a folder "
            "that you may write to"
        ) from error
    return folder


def prepare_if_gone(path: str, key: str) -> None:
    """Make a folder again that somebody removed; one that is there keeps its mode.

    Raises:
        DeviceError: it cannot be made.
    """
    if not os.path.lexists(path):
        prepare(path, key)


class Kept:
    """Notices that a folder is not the one any more that was prepared.

    Whoever removes it takes the journal or the sockets away without a single call failing.
    """

    def __init__(self, *folders: Path) -> None:
        self._known = {folder: _identity(folder) for folder in folders}

    def lost(self) -> list[Path]:
        """Folders that were removed or replaced since the last look; each is told once."""
        now = {folder: _identity(folder) for folder in self._known}
        before, self._known = self._known, now
        return [folder for folder, known in before.items() if known and now[folder] != known]


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def hold(folder: Path) -> int:
    """Be the only sentinel that uses a state folder, until this process ends.

    Returns:
        The descriptor that holds the lock; it is not inherited.

    Raises:
        DeviceError: another sentinel holds it: two would each take the other's journal for damage.
    """
    path = folder / "lock"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DeviceError(
            f"{path}: cannot be opened ({error.strerror}); set [paths] state to a folder that can "
            "be written"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise DeviceError(
            f"{folder} is in use by another sentinel; see: vedette status; stop that one first, or "
            "set [paths] state to another folder"
        ) from error
    return fd
