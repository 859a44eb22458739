"""Files of an ext4 image read and changed without mounting it, by debugfs(8) and mke2fs(8).

Rule 1: no mount, so nothing is left mounted and no kernel of ours reads a file system under test.
Rule 2: debugfs ends with 0 also where a command failed: what it says decides.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.calls import call

TIMEOUT_S = 120.0
_MENDED = 1
"""e2fsck(8): something was done, and all is well."""
_UNMENDED = 4
BACKUPS = (32768, 98304)
"""Blocks with superblocks of a file system whose blocks have 4096 bytes (mke2fs(8))."""
_PATH = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}


def read(image: Path, path: str) -> str:
    """The text of a file in an image.

    Raises:
        DeviceError: it is not there, or the image is none.
    """
    return _debugfs(image, [f"cat {path}"], is_writing=False)


def remove(image: Path, path: str) -> None:
    """Remove a file or link.

    Raises:
        DeviceError: it is not there.
    """
    _debugfs(image, [f"rm {path}"], is_writing=True)


def put(image: Path, text: str, path: str, mode: int = 0o644) -> None:
    """Write a file into an image, root's, instead of what is there.

    Args:
        image: an ext4 image.
        text: of the file.
        path: absolute; its folder must be there.
        mode: of the file.

    Raises:
        DeviceError: it could not be written.
    """
    folder, _, name = path.rpartition("/")
    with tempfile.NamedTemporaryFile("w") as source:
        source.write(text)
        source.flush()
        commands = [f"rm {path}"] if has(image, path) else []
        # `write` takes a name in the current folder, never a path.
        commands += [f"cd {folder or '/'}", f"write {source.name} {name}"]
        commands += [f"sif {name} mode 0{0o100000 | mode:o}", f"sif {name} uid 0"]
        _debugfs(image, [*commands, f"sif {name} gid 0"], is_writing=True)


def has(image: Path, path: str) -> bool:
    """Whether there is a file, link or folder of this path."""
    return "Inode:" in _run(["debugfs", "-R", f"stat {path}", str(image)])


def damage(image: Path) -> str:
    """What is wrong with a file system, "" where all is well; mends nothing.

    Raises:
        DeviceError: the look takes too long.
    """
    done = _call(["e2fsck", "-fn", str(image)])
    return "" if not done.returncode else done.stdout[-600:]


def replay(image: Path) -> bool:
    """Carry out what the journal holds, as a mount does; returns whether it could be read.

    Not by debugfs: it reads the bitmaps first, which may be torn until their journal was replayed.

    Raises:
        DeviceError: it takes too long, which says nothing of the image.
    """
    return _call(["e2fsck", "-p", "-E", "journal_only", str(image)]).returncode <= _MENDED


def mend(image: Path) -> bool:
    """Mend a file system as the initrd does where it cannot be mounted (qemu-images/initrd/init).

    Returns:
        Whether it could be.

    Raises:
        DeviceError: it takes too long, which says nothing of the image.
    """
    ways = [["-y"], *(["-y", "-B", "4096", "-b", str(backup)] for backup in BACKUPS)]
    return any(_call(["e2fsck", "-f", *way, str(image)]).returncode < _UNMENDED for way in ways)


def take(image: Path, path: str, target: Path) -> None:
    """Copy a folder of an image to a new one here, with all that is in it.

    Raises:
        DeviceError: it is not there.
    """
    target.mkdir()
    _debugfs(image, [f"rdump {path} {target}"], is_writing=False)


def make(folder: Path, image: Path, size_bytes: int, label: str) -> None:
    """Make an image of a folder's content; owners and modes are kept.

    Raises:
        DeviceError: it does not fit, or mke2fs is missing.
    """
    with image.open("wb") as stream:
        stream.truncate(size_bytes)
    _run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", str(folder), str(image)])


def _debugfs(image: Path, commands: Sequence[str], *, is_writing: bool) -> str:
    with tempfile.NamedTemporaryFile("w") as script:
        script.writelines(f"{command}\n" for command in commands)
        script.flush()
        way = ["-f", script.name] if len(commands) > 1 else ["-R", commands[0]]
        done = _call(["debugfs", *(["-w"] if is_writing else []), *way, str(image)])
    wrong = [line for line in done.stderr.splitlines() if line and not line.startswith("debugfs ")]
    if done.returncode or wrong:
        what = "; ".join(commands)
        raise DeviceError(f"{image}: debugfs {what}: {' '.join(wrong) or done.returncode}")
    return done.stdout


def _run(argv: list[str]) -> str:
    done = _call(argv)
    if done.returncode:
        raise DeviceError(f"{argv[0]} left with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout + done.stderr


def _call(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return call(argv, TIMEOUT_S, _PATH)
    except FileNotFoundError as error:
        raise DeviceError(f"{argv[0]} is missing: apt-get install e2fsprogs") from error
