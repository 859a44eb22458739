"""Plays a story in a process of its own, and brings back what it did to its files."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.powercut import operations, story
from tests.powercut.disk import Disk, Link
from tests.powercut.operations import Operation

ROOT: Final = Path(__file__).parents[2]
SIMULATORS: Final = ROOT / "tests" / "simulators"
PLAY_S: Final = 120.0


class NoCompilerError(Exception):
    """The recorder cannot be built here."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One story as it was played.

    Attributes:
        root: the folder that was recorded.
        root_inode: of it.
        before: what was in it before: path, inode, content.
        operations: what was done to it.
    """

    root: str
    root_inode: int
    before: tuple[tuple[str, int, bytes | Link | None], ...]
    operations: tuple[Operation, ...]

    def disk(self) -> Disk:
        """The disk on which it is played again."""
        return Disk(self.root, self.root_inode, self.before)


def build(folder: Path) -> Path:
    """Compile the recorder into a folder.

    Raises:
        NoCompilerError: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("needs a C compiler for recorded_disk.c: apt-get install gcc")
    library = folder / "recorded_disk.so"
    source = SIMULATORS / "recorded_disk.c"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", library, source, "-lpthread"], check=True)
    return library


def record(name: str, library: Path, folder: Path) -> Recording:
    """Play a story in a new folder below `folder`.

    Raises:
        RecordError: it did what cannot be replayed.
        CalledProcessError: the story failed without any power cut.
    """
    root = (folder / "disk").resolve()
    root.mkdir()
    make_passable(root)
    story.load(name).prepare(root)
    before = tuple(_found(root))
    log = folder / "record"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT}",
        "LD_PRELOAD": str(library),
        "VEDETTE_RECORD_ROOT": str(root),
        "VEDETTE_RECORD_LOG": str(log),
    }
    subprocess.run(
        [sys.executable, "-m", "tests.powercut.player", name, root],
        env=environment,
        check=True,
        timeout=PLAY_S,
    )
    found = tuple(operations.parse(log.read_bytes()))
    return Recording(str(root), root.stat().st_ino, before, found)


def make_passable(folder: Path) -> None:
    """Let other users through to a folder: some of our processes give up being root."""
    for parent in (folder, *folder.parents):
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _found(root: Path) -> Iterator[tuple[str, int, bytes | Link | None]]:
    for path in sorted(root.rglob("*")):
        inode, name = path.lstat().st_ino, str(path.relative_to(root))
        if path.is_symlink():
            yield name, inode, Link(os.readlink(path))  # noqa: PTH115 (no Path: as it stands)
        else:
            yield name, inode, None if path.is_dir() else path.read_bytes()
