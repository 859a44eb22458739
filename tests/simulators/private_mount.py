"""File systems of its own in a mount namespace of its own: what is marked there harms nobody.

Rule 1: made and closed by the main thread while there is no other, whose namespace it changes;
programs started meanwhile live in it too. A mount goes with its last user, also after SIGKILL.
Rule 2: several share one namespace, which is left with the last of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from vedette_dev.kernel_calls import (
    CLONE_NEWNS,
    MS_PRIVATE,
    MS_REC,
    mount,
    setns,
    unmount,
    unshare,
)


class PrivateMount:
    """A tmpfs, or a ramfs, at a folder, seen from here only."""

    _open: ClassVar[int] = 0
    _home: ClassVar[int] = -1

    def __init__(self, folder: Path, kind: str = "tmpfs") -> None:
        self.folder = folder
        self._is_open = True
        if PrivateMount._open == 0:
            PrivateMount._home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            unshare(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_PRIVATE)
        PrivateMount._open += 1
        mount("vedette-test", str(folder), kind, options="mode=755")

    def close(self) -> None:
        """Take the mount away; with the last one go back to the namespace of before."""
        if not self._is_open:
            return
        self._is_open = False
        unmount(str(self.folder))
        PrivateMount._open -= 1
        if PrivateMount._open == 0:
            before = os.getcwd()  # noqa: PTH109 (setns(2) changes to the root)
            setns(PrivateMount._home, CLONE_NEWNS)
            os.close(PrivateMount._home)
            os.chdir(before)
