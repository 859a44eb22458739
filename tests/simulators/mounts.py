"""File systems at a folder: for everybody to see, or in a mount namespace of one's own.

Rule 1: `mounted` is for what other processes of the machine are to see, and is undone by its block.
Rule 2: a PrivateMount harms nobody by what is marked on it. It is made and closed by the main
thread while there is no other, whose namespace it changes; programs started meanwhile live in it
too. It goes with its last user, also after SIGKILL.
Rule 3: several PrivateMounts share one namespace, which is left with the last of them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def mounted(
    folder: Path, options: str, kind: str = "tmpfs", source: str | Path = "vedette-test"
) -> Iterator[Path]:
    """A file system at a folder, made where it is not there, for as long as the block lasts.

    Args:
        options: of mount(8), such as "size=4m,mode=755".
        kind: of file system.
        source: what is mounted; the name of one that lies in memory.

    Raises:
        subprocess.CalledProcessError: it cannot be mounted here; mount(8) said why on stderr.
    """
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", kind, "-o", options, str(source), str(folder)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    try:
        yield folder
    finally:
        unmount(str(folder))


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
