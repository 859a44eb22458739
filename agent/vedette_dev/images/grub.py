"""GRUB on a disk for a PC's BIOS, put there without a mount and without a device.

Rule: what grub-bios-setup(8) writes into a disk is written here: the boot sector's code with the
place of the core image, and in the core image the place of its own rest (GRUB 2.06,
include/grub/i386/pc/boot.h and offsets.h).
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from vedette.codec.grub_environment import encode
from vedette.errors import DeviceError
from vedette_dev.images import disk, tools
from vedette_dev.images.layout import SECTOR_BYTES, Layout

FACTORY = {"vedette_slot": "a"}
"""agent/vedette/slots/grub.py: slot a is committed, nothing is on trial."""
_FILES = Path("/usr/lib/grub/i386-pc")
_MODULES = (
    "biosdisk", "part_gpt", "ext2", "linux", "normal", "loadenv", "test", "echo", "configfile",
    "serial", "terminal", "reboot",
)  # fmt: skip
_CODE_BYTES = 440
"""Of the boot sector; behind it lie the disk's signature and its table."""
_CORE_SECTOR_AT = 0x5C
"""GRUB_BOOT_MACHINE_KERNEL_SECTOR"""
_REST_SECTOR_AT = SECTOR_BYTES - 12
"""Where the first sector of the core image names the sector of the second one."""


def configuration(template: str, layout: Layout, console: str) -> str:
    """grub.cfg: packaging/boot/grub-slots.cfg is read by it."""
    values = {
        "PART_A": str(layout.slot_a.number),
        "PART_B": str(layout.slot_b.number),
        "CONSOLE": console,
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def install(place: Path, layout: Layout, texts: dict[str, str], folder: Path, log: Path) -> None:
    """Make a disk start by GRUB.

    Args:
        place: the disk, with its table.
        layout: its partition `boot` gets the texts and a factory environment, `environment`
            the core image.
        texts: by file name.
        folder: for what is made on the way.
        log: of the tools.

    Raises:
        DeviceError: GRUB's files are not installed.
    """
    if not (_FILES / "boot.img").exists():
        raise DeviceError(f"{_FILES} is missing: apt-get install grub-pc-bin")
    tree = folder / "boot"
    tree.mkdir()
    for name, text in texts.items():
        (tree / name).write_text(text)
    (tree / "grubenv").write_bytes(encode(FACTORY))
    image = folder / "boot.img"
    disk.make_ext4(image, tree, layout.boot.size_bytes, "boot", log)
    disk.put(place, layout.boot, image)
    core = folder / "core.img"
    prefix = f"(hd0,gpt{layout.boot.number})/"
    tools.run(["grub-mkimage", "-O", "i386-pc", "-p", prefix, "-o", core, *_MODULES], log)
    start = layout.environment.start_sector
    core.write_bytes(core_image(core.read_bytes(), start))
    disk.put(place, layout.environment, core)
    with place.open("r+b") as stream:
        stream.write(boot_code((_FILES / "boot.img").read_bytes(), start))
    for path in (image, core):
        path.unlink()
    shutil.rmtree(tree)


def boot_code(image: bytes, core_sector: int) -> bytes:
    """The code of the boot sector, which reads the core image at this sector."""
    return _with_sector(image[:_CODE_BYTES], _CORE_SECTOR_AT, core_sector)


def core_image(image: bytes, sector: int) -> bytes:
    """The core image for this sector: its first sector says where the others are."""
    return _with_sector(image, _REST_SECTOR_AT, sector + 1)


def _with_sector(image: bytes, offset: int, sector: int) -> bytes:
    return image[:offset] + struct.pack("<Q", sector) + image[offset + 8 :]
