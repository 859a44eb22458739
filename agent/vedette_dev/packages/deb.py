"""Builds a .deb on this machine for any target: nothing is compiled for it, only laid out.

Rule 1: the same commit gives the same bytes: times come from it, modes and order from us.
Rule 2: a package is whole or not there: it is written beside its place and moved there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import vedette
from vedette.errors import DeviceError, RequestError
from vedette_dev.cache import REPOSITORY
from vedette_dev.calls import check
from vedette_dev.packages import control, tree, wheels
from vedette_dev.packages.target import Target, target

TIMEOUT_S: Final = 300.0
_INPUTS: Final = (
    "agent/vedette", "agent/vedette_dev/packages", "packaging", "pyproject.toml",
    "requirements.txt", "CHANGELOG.md",
)  # fmt: skip
"""All that goes in: other commits leave the package as it is."""
OBJECT: Final = "agent/vedette/sensors/_ebpf/watch.bpf.o"


def build(
    repository: Path, wanted: Target, into: Path, *, version: str = "", say: Callable[[str], None]
) -> Path:
    """Build one package.

    Args:
        repository: the checkout whose files go in.
        into: folder of the packages, one below for each suite.
        version: of the agent, when not its own (a test of upgrades).
        say: takes one line for people.

    Returns:
        The .deb.

    Raises:
        DeviceError: a tool is missing, fails or is too slow, or wheels cannot be fetched.
        RequestError: there is no time to give the files.
    """
    _check(repository, wanted)
    epoch_s = source_epoch_s(repository)
    full = control.version_of(version or vedette.__version__, wanted)
    package = into / wanted.suite / f"vedette_{full}_{wanted.arch}.deb"
    say(f"wheels    {wanted.arch}, {wanted.suite}, Python {wanted.release.python}")
    archives = wheels.fetched(repository, wanted)
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".deb-", dir=package.parent) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        tree.lay(root, repository, wanted, archives)
        control.write(root, repository, wanted, full, epoch_s)
        new = _packed(root, Path(folder), epoch_s)
        new.replace(package)
    say(f"package   {package} ({package.stat().st_size / 1e6:.1f} MB)")
    return package


def built(arch: str, suite: str = "bookworm", *, say: Callable[[str], None] = print) -> Path:
    """The package of this checkout, built anew: its bytes are the same while nothing changed.

    Raises:
        RequestError, DeviceError: as `build`.
    """
    return build(REPOSITORY, target(arch, suite), REPOSITORY / "build/deb", say=say)


def source_epoch_s(repository: Path) -> int:
    """The time that all files get: SOURCE_DATE_EPOCH, or that of the last commit to any of them.

    Raises:
        RequestError: neither is known.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isascii() and given.isdigit():
        return int(given)
    asked = subprocess.run(
        ["git", "-C", repository, "log", "-1", "--format=%ct", "--", *_INPUTS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode or not asked.stdout:
        raise RequestError(
            f"{repository}: expected a clone, or SOURCE_DATE_EPOCH with the time of its files"
        )
    return int(asked.stdout)


def _check(repository: Path, wanted: Target) -> None:
    if shutil.which("dpkg-deb") is None:
        raise DeviceError("dpkg-deb is missing: apt-get install dpkg")
    if wanted.architecture.has_btf and not (repository / OBJECT).exists():
        raise DeviceError(f"{OBJECT} is missing: run `make ebpf` (needs clang and libbpf-dev)")


def _packed(root: Path, folder: Path, epoch_s: int) -> Path:
    new = folder / "new.deb"
    # One thread: how xz cuts its blocks depends on how many there are.
    words = ("--root-owner-group", "--threads-max=1", "-Zxz", "--build")
    for path in (root, *root.rglob("*")):
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)
    check(["dpkg-deb", *words, root, new], TIMEOUT_S, SOURCE_DATE_EPOCH=str(epoch_s))
    return new
