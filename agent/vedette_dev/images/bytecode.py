"""Compiles the agent's Python on this machine, which under qemu-user takes most of a minute.

Rule: it is only quicker. py3compile(1), which the package calls at its installation, passes over
what is up to date by magic number and time, and compiles what is missing or another Python's.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from vedette_dev.images import debian, tools
from vedette_dev.packages.target import SUITES

HOME = "usr/lib/vedette"


def is_the_devices() -> bool:
    """Whether this Python compiles for the one of the images: bytecode differs between versions."""
    return SUITES[debian.SUITE].python == "{}.{}".format(*sys.version_info)


def lay(package: Path, tree: Path, log: Path) -> None:
    """Put what a package has in its own folder into a root file system, with its bytecode.

    Args:
        package: not installed there yet.
        tree: the root file system.
        log: takes what the tools say.

    Raises:
        DeviceError: it cannot be unpacked or compiled.
    """
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        tools.run(["dpkg-deb", "-x", package, folder], log)
        tools.run(
            [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "timestamp",
             "-s", folder, "-p", "/", Path(folder) / HOME],
            log,
        )  # fmt: skip
        shutil.copytree(Path(folder) / HOME, tree / HOME, symlinks=True)
