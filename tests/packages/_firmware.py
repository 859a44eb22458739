"""What OpenWrt's and Yocto's packages are compared with: the archive, and the files of the .deb."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.cache import REPOSITORY
from vedette_dev.packages import source_archive, tree
from vedette_dev.packages.target import Target

AGENT = "site-packages/vedette/"


@cache
def archive() -> Path:
    """The archive of this checkout; skips where its packages cannot be fetched."""
    try:
        return source_archive.build(REPOSITORY, REPOSITORY / "build/firmware", say=print)
    except DeviceError as error:
        pytest.skip(str(error))


def unpacked(into: Path) -> Path:
    """The archive as a build system has it; returns its one folder."""
    with tarfile.open(archive()) as packed:
        packed.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


def files_of_the_deb(into: Path) -> set[str]:
    """Paths of the files of the .deb, without the packages of others."""
    tree.lay(into, REPOSITORY, Target("amd64", "bookworm"), [])
    return files(into)


def files(root: Path) -> set[str]:
    """Paths below a root, of files and links."""
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def agent_modules(paths: set[str]) -> set[str]:
    """The agent's own modules and data among some paths, compiled ones by their source's name."""
    own = {
        path.partition(AGENT)[2] for path in paths if AGENT in path and "__pycache__" not in path
    }
    return {path.removesuffix("c") if path.endswith(".pyc") else path for path in own}
