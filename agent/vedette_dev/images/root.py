"""The root file system of Debian packages, before our own package is in it; made once, kept packed.

Rule 1: foreign programs run by qemu-user through binfmt_misc, so maintainer scripts do what they do
on the device. No kernel package is installed: its hooks take many minutes under qemu-user.
Rule 2: all mounts are made in a mount namespace that ends with mmdebstrap.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev import cache
from vedette_dev.images import debian, tools
from vedette_dev.images.inputs import digest
from vedette_dev.images.target import Target

TIMEOUT_S = 1800.0
"""Measured: 170 s of processor time for a foreign architecture."""
IN_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
_TAR = "root.tar.zst"


def packed(machine: Target, packages: list[str], log: Path, say: Callable[[str], None]) -> Path:
    """The packed root file system with these packages.

    Raises:
        DeviceError: it cannot be made here.
    """
    lines = debian.sources(has_security=machine.has_security)

    def make(folder: Path) -> None:
        say(f"root      Debian 12 for {machine.arch} with mmdebstrap (minutes, once)")
        can_run(machine, log)
        options = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        tools.run(
            [*IN_OWN_MOUNTS, tools.find("mmdebstrap"), "--mode=root", "--variant=minbase",
             f"--architectures={machine.arch}", f"--include={','.join(packages)}",
             '--aptopt=Apt::Install-Recommends "false"', *options,
             debian.SUITE, folder / _TAR, *lines],
            log, timeout_s=TIMEOUT_S, environment={"TMPDIR": str(folder)},
        )  # fmt: skip

    inputs = digest(machine.arch, *packages, *LEFT_OUT, *lines)
    return cache.cached(f"root-{machine.arch}", inputs, make) / _TAR


def unpack(tar: Path, tree: Path, log: Path) -> None:
    """Unpack it, owners and all, into a new folder."""
    tree.mkdir()
    tools.run(["tar", "--zstd", "-xpf", tar, "-C", tree, "--numeric-owner"], log)


def can_run(machine: Target, log: Path) -> None:
    """See to it that programs of this architecture run here.

    Raises:
        DeviceError: they do not.
    """
    if os.geteuid() != 0:
        raise DeviceError("only root can build images: file owners are those of the device")
    if not machine.interpreter:
        return
    if not (_BINFMT / "status").exists():
        tools.run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT], log)
    if not (_BINFMT / machine.interpreter).exists():
        tools.run(["update-binfmts", "--enable", machine.interpreter], log)
    if not (_BINFMT / machine.interpreter).exists():
        raise DeviceError(
            f"programs of {machine.arch} do not run here: {_BINFMT} has no {machine.interpreter}; "
            "apt-get install qemu-user-static binfmt-support"
        )
