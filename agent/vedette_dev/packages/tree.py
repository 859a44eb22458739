"""Lays out the files of a package as they lie on a device.

Rule 1: packages of Python lie in a folder of their own, beside a pyvenv.cfg (PEP 405) that shows
them to Debian's python3 and hides all others: what else is installed on a device cannot change what
we run, and ours cannot change what others run.
Rule 2: what is Debian's is linked by name, not found by search.
Rule 3: modes are said here and never taken from a checkout.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vedette.daemon.units import BUILD
from vedette_dev.packages import wheels
from vedette_dev.packages.target import Target

HOME: Final = "usr/lib/vedette"
DOCUMENTS: Final = "usr/share/doc/vedette"
CONFIGURATION: Final = "etc/vedette/vedette.toml"
DEBIANS: Final = "usr/lib/python3/dist-packages"

_LAID: Final = {
    "packaging/vedette.toml": CONFIGURATION,
    "packaging/debian/lintian-overrides": "usr/share/lintian/overrides/vedette",
    "packaging/systemd/sysusers.conf": "usr/lib/sysusers.d/vedette.conf",
    "packaging/systemd/tmpfiles.conf": "usr/lib/tmpfiles.d/vedette.conf",
    "packaging/boot/uboot-slots.cmd": f"{DOCUMENTS}/boot/uboot-slots.cmd",
    "packaging/boot/grub-slots.cfg": f"{DOCUMENTS}/boot/grub-slots.cfg",
}
_PROGRAMS: Final = {
    "packaging/debian/vedette.sh": "usr/bin/vedette",
    "packaging/systemd/generator": "usr/lib/systemd/system-generators/vedette",
}
_UNITS: Final = ("*.service", "*.path", "*.socket", "*.timer")


def packages_folder(target: Target) -> str:
    """Where the packages of Python lie."""
    return f"{HOME}/lib/python{target.release.python}/site-packages"


def lay(root: Path, repository: Path, target: Target, archives: Sequence[Path]) -> None:
    """Lay all files of a package out below a folder, except those that dpkg reads.

    Args:
        archives: the wheels to unpack.
    """
    packages = root / packages_folder(target)
    for archive in archives:
        wheels.unpack(archive, target, packages)
    _lay_agent(repository / "agent/vedette", packages / "vedette", target)
    _lay_python(root, target)
    for source, place in (*_LAID.items(), *_PROGRAMS.items()):
        _copy(repository / source, root / place)
    for pattern in _UNITS:
        for unit in sorted((repository / "packaging/systemd").glob(pattern)):
            _copy(unit, root / "usr/lib/systemd/system" / unit.name)
    _compress(repository / "CHANGELOG.md", root / DOCUMENTS / "CHANGES.md.gz")
    (root / HOME / BUILD).write_text(_digest(root) + "\n")
    set_modes(root)


def set_modes(root: Path) -> None:
    """0755 for folders and programs, 0644 for all else."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _is_program(path, root) else 0o644)


def _is_program(path: Path, root: Path) -> bool:
    return path.relative_to(root).as_posix() in _PROGRAMS.values()


def _digest(root: Path) -> str:
    """Of all files laid out so far: which build this is."""
    digest = hashlib.sha256()
    for file in sorted(
        path for path in root.rglob("*") if path.is_file() and not path.is_symlink()
    ):
        digest.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _lay_agent(source: Path, into: Path, target: Target) -> None:
    suffixes = {".py", ".typed", ".o"} if target.architecture.has_btf else {".py", ".typed"}
    for file in sorted(source.rglob("*")):
        if file.is_file() and file.suffix in suffixes:
            _copy(file, into / file.relative_to(source))


def _lay_python(root: Path, target: Target) -> None:
    home = root / HOME
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to("../../../bin/python3")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\n"
        f"version = {target.release.python}\n"
    )
    packages = packages_folder(target)
    for name in _linked(target):
        # Relative, as Debian wants it within /usr.
        (root / packages / name).symlink_to(os.path.relpath(f"/{DEBIANS}/{name}", f"/{packages}"))


def _linked(target: Target) -> list[str]:
    """What is Debian's, by its name in the folder of Debian's packages."""
    abi = f"cpython-{target.release.python.replace('.', '')}-{target.architecture.multiarch}"
    names = {"psutil": "psutil", "cffi": f"_cffi_backend.{abi}.so"}
    return [names[name] for name, where in wheels.FROM_DEBIAN.items() if target.arch in where]


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def _compress(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(gzip.compress(source.read_bytes(), 9, mtime=0))
