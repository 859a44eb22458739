"""What differs between architectures: kernel, boot loader, emulated machine.

Rule: everything else is one recipe for all three. Addresses are those of Debian 12's U-Boot
2023.01; a kernel is loaded where U-Boot wants it, the initrd where the kernel, unpacked, leaves
room.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vedette.errors import RequestError

Arch = Literal["amd64", "arm64", "armhf"]
ARCHES: tuple[Arch, ...] = get_args(Arch)
_LOADERS = Path("/usr/lib/u-boot")
_WITH_DEVICE_TREE = "${kernel_addr_r} ${ramdisk_addr_r}:${ramdisk_bytes} ${fdtcontroladdr}"


@dataclass(frozen=True, slots=True)
class Target:
    """One architecture.

    Attributes:
        arch: as Debian calls it.
        kernel: the meta-package of its kernel.
        has_security: whether Debian's security archive is used; armhf's index did not match its
            own release file for days.
        interpreter: the name in binfmt_misc that runs its programs here; "" for our own.
        emulator: QEMU's program.
        machine: its options for the machine and the processor.
        loader: the stock U-Boot that QEMU starts.
        console: the kernel's name of the serial port.
        ramdisk: where the initrd goes; "" for U-Boot's own choice.
        start: U-Boot's command that starts the kernel.
        has_pci_watchdog: whether the kernel has a driver of the emulated i6300esb.
        least_mb: of memory, for the loader. The PC's reads its script to 112 MiB, and keeps the
            last 35 MiB for itself (`bdinfo`); GRUB starts the same device in 128.
    """

    arch: Arch
    kernel: str
    has_security: bool
    interpreter: str
    emulator: str
    machine: tuple[str, ...]
    loader: Path
    console: str
    ramdisk: str
    start: str
    has_pci_watchdog: bool
    least_mb: int = 128


_TARGETS: dict[str, Target] = {
    "amd64": Target(
        arch="amd64",
        kernel="linux-image-amd64",
        has_security=True,
        interpreter="",
        emulator="qemu-system-x86_64",
        machine=("-machine", "pc", "-cpu", "Nehalem"),
        loader=_LOADERS / "qemu-x86/u-boot.rom",
        console="ttyS0",
        # 0x4000000, U-Boot's choice, is overwritten when the kernel unpacks itself.
        ramdisk="0x6000000",
        start="zboot ${kernel_addr_r} ${kernel_bytes} ${ramdisk_addr_r} ${ramdisk_bytes}",
        has_pci_watchdog=True,
        least_mb=160,
    ),
    "arm64": Target(
        arch="arm64",
        kernel="linux-image-arm64",
        has_security=True,
        interpreter="qemu-aarch64",
        emulator="qemu-system-aarch64",
        machine=("-machine", "virt", "-cpu", "cortex-a53"),
        loader=_LOADERS / "qemu_arm64/u-boot.bin",
        console="ttyAMA0",
        ramdisk="",
        start=f"booti {_WITH_DEVICE_TREE}",
        has_pci_watchdog=True,
    ),
    "armhf": Target(
        arch="armhf",
        kernel="linux-image-armmp-lpae",
        has_security=False,
        interpreter="qemu-arm",
        emulator="qemu-system-arm",
        machine=("-machine", "virt", "-cpu", "cortex-a15"),
        loader=_LOADERS / "qemu_arm/u-boot.bin",
        console="ttyAMA0",
        ramdisk="",
        start=f"bootz {_WITH_DEVICE_TREE}",
        has_pci_watchdog=False,
    ),
}


def target(arch: str) -> Target:
    """What is known of an architecture.

    Raises:
        RequestError: there is none of that name.
    """
    found = _TARGETS.get(arch)
    if found is None:
        raise RequestError(f"ARCH: expected {', '.join(ARCHES)}, got {arch!a:.40}")
    return found
