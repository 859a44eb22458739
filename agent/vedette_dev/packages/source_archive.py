"""The archive that builders of firmware start from: the agent, and what they have no package of.

Rule 1: it holds no machine code but the eBPF object: OpenWrt and Yocto compile the rest themselves.
Rule 2: the same commit gives the same bytes, since both pin the archive by its SHA-256.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import vedette
from vedette_dev.packages import deb, wheels
from vedette_dev.packages.target import Target

PACKAGES: Final = "site-packages"
"""In the archive: packages of Python that are carried along."""
NATIVE: Final = ("cryptography", "msgpack", "psutil")
"""Compiled: the firmware's build system has them (with cffi where cryptography needs it)."""

_ANY: Final = "-none-any.whl"
_TAKEN: Final = ("packaging", "pyproject.toml", "LICENSE", "CHANGELOG.md")
_SUFFIXES: Final = frozenset({".py", ".typed", ".o"})


def build(repository: Path, into: Path, *, say: Callable[[str], None]) -> Path:
    """Write vedette-VERSION.tar.gz.

    Args:
        repository: the checkout whose files go in.
        into: folder of the archive; made if it is missing.
        say: takes one line for people.

    Raises:
        DeviceError: a package could not be fetched.
        RequestError: there is no time to give the files.
    """
    target = Target("amd64", "bookworm")  # what is pure is the same for all
    archives = wheels.fetched(repository, target)
    epoch_s = deb.source_epoch_s(repository)
    name = f"vedette-{vedette.__version__}"
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{name}.tar.gz"
    with tempfile.TemporaryDirectory(prefix=".source-", dir=into) as folder:
        root = Path(folder) / name
        _lay(root, repository, [one for one in archives if one.name.endswith(_ANY)], target)
        new = Path(folder) / archive.name
        new.write_bytes(_packed(root, epoch_s))
        new.replace(archive)
    say(f"source    {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return archive


def _lay(root: Path, repository: Path, archives: Sequence[Path], target: Target) -> None:
    for wheel in archives:
        wheels.unpack(wheel, target, root / PACKAGES)
    source = repository / "agent/vedette"
    files = [file for file in source.rglob("*") if file.is_file() and file.suffix in _SUFFIXES]
    for taken in _TAKEN:
        path = repository / taken
        files += [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    for file in files:
        place = root / file.relative_to(repository)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _packed(root: Path, epoch_s: int) -> bytes:
    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mode = 0o755 if member.isdir() or member.name.endswith(".sh") else 0o644
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = epoch_s
        return member

    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in (root, *sorted(root.rglob("*"))):
            archive.add(
                path, path.relative_to(root.parent).as_posix(), recursive=False, filter=plain
            )
    return gzip.compress(held.getvalue(), 9, mtime=0)
