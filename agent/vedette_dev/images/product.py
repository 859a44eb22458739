"""Turns a Debian of packages into a device: our package, its units, its kernel, what is mounted.

Rule 1: our package is installed by dpkg(1) of the device's own architecture: what it does at its
installation on a product, it does here.
Rule 2: nothing in it tells one device from another: no machine-id, no key, no state.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.cache import REPOSITORY
from vedette_dev.images import bytecode, debian, initramfs, root, tools
from vedette_dev.images.kernel import Kernel, ModuleList
from vedette_dev.images.target import Target
from vedette_dev.packages import deb

SOURCES = REPOSITORY / "qemu-images"
_INSTALL = """
mount -t proc proc "$1/proc"
exec chroot "$1" env DEBIAN_FRONTEND=noninteractive dpkg --install /tmp/vedette.deb
"""
_UNUSED = (
    "usr/lib/python3.11/ensurepip", "usr/lib/python3.11/idlelib", "usr/lib/python3.11/pydoc_data",
    "usr/lib/python3.11/test", "usr/lib/udev/hwdb.bin", "usr/lib/udev/hwdb.d",
    "usr/share/bash-completion", "usr/share/lintian", "usr/share/zsh", "usr/share/perl5",
)  # fmt: skip
"""Of Debian's packages: a device has no use for it, and each firmware is written whole."""
_OF_NO_IMAGE = {"README.md", "docker"}
_EMPTIED = ("tmp", "var/cache", "var/lib/apt/lists", "var/lib/vedette", "var/log")
_OWN = ("etc/vedette/enrolled.toml", "etc/vedette/trust.json", "var/lib/vedette/identity.key")


def package(machine: Target, say: Callable[[str], None]) -> Path:
    """The agent's package for a device, built anew.

    Raises:
        DeviceError: it cannot be built.
    """
    return deb.built(machine.arch, debian.SUITE, say=say)


def install(package: Path, tree: Path, machine: Target, log: Path) -> None:
    """Install the agent's package into a root file system.

    Raises:
        DeviceError: it cannot be installed, or brings what is one device's own.
    """
    if bytecode.is_the_devices():
        bytecode.lay(package, tree, log)
    shutil.copy(package, tree / "tmp/vedette.deb")
    root.can_run(machine, log)
    tools.run([*root.IN_OWN_MOUNTS, "sh", "-euc", _INSTALL, "sh", tree], log)
    for path in [tree / name for name in _UNUSED]:
        _remove(path)
    for name in _EMPTIED:
        for path in (tree / name).glob("*"):
            _remove(path)
    for name in _OWN:
        if (tree / name).exists():
            raise DeviceError(f"{package.name}: expected no /{name} in an image that is cloned")


def furnish(tree: Path, machine: Target, kernel: Kernel, modules: ModuleList) -> None:
    """Add what qemu-images/ has for the device, its kernel, and its initrd."""
    shutil.copytree(SOURCES / "root", tree, dirs_exist_ok=True)
    (tree / "etc/machine-id").write_text("")
    _link(tree / "var/lib/dbus/machine-id", "/etc/machine-id")
    units = tree / "etc/systemd/system"
    for name in lines("masked-units.txt"):
        _link(units / name, "/dev/null")
    _link(units / "default.target", "/lib/systemd/system/multi-user.target")
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    for name in ("device-network.service", "vedette-test-shell.service"):
        _link(wanted / name, f"/etc/systemd/system/{name}")
    _link(
        wanted / f"vedette-test-console@{machine.console}.service",
        "/etc/systemd/system/vedette-test-console@.service",
    )
    for line in [*lines("persistent.txt"), *lines("volatile.txt"), "- /data", "- /boot/grub"]:
        place = next(word for word in line.split() if word.startswith("/"))
        (tree / place.removeprefix("/")).mkdir(parents=True, exist_ok=True)
    _place_kernel(tree, kernel, modules)


def inputs() -> list[Path]:
    """What of qemu-images/ decides what is in an image."""
    return sorted(path for path in SOURCES.iterdir() if path.name not in _OF_NO_IMAGE)


def lines(name: str) -> list[str]:
    """The lines of a list in qemu-images/, without comments."""
    found = [line.strip() for line in (SOURCES / name).read_text().splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def _place_kernel(tree: Path, kernel: Kernel, modules: ModuleList) -> None:
    shutil.copytree(kernel.tree / "lib/modules", tree / "usr/lib/modules", dirs_exist_ok=True)
    shutil.copy(kernel.image, tree / "boot/vmlinuz")
    files = {
        name: (SOURCES / source).read_bytes()
        for name, source in (
            ("init", "initrd/init"),
            ("persistent", "persistent.txt"),
            ("volatile", "volatile.txt"),
        )
    }
    busybox = (tree / "usr/bin/busybox").read_bytes()
    image = initramfs.image(kernel, modules.options, busybox, files)
    (tree / "boot/initrd.img").write_bytes(image)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(place: Path, points_to: str) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(points_to)
