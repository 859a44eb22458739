"""boot.scr: which slot U-Boot starts and how; pure.

The choice is packaging/boot/uboot-slots.cmd, as a product would include it. Around it stand what
it wants to be told before and the start of the kernel after it: qemu-images/boot/boot.cmd.
"""

from __future__ import annotations

import struct
import zlib

from vedette.errors import ParseError
from vedette_dev.images.layout import ENVIRONMENT_BYTES, SECTOR_BYTES, Layout
from vedette_dev.images.target import Target

_MAGIC = 0x27051956
_HEADER = struct.Struct(">7I4B32s")
"""U-Boot, include/image.h: struct legacy_img_hdr."""
_LINUX, _ANY_ARCH, _SCRIPT, _PLAIN = 5, 0, 6, 0


def text(template: str, slots: str, machine: Target, disk: Layout) -> str:
    """The whole script.

    Args:
        template: with @NAME@ where something goes.
        slots: packaging/boot/uboot-slots.cmd.
        machine: what it is for.
        disk: where the environment and the slots are.

    Raises:
        ParseError: the template has a name that nobody knows.
    """
    second = disk.environment.start_sector + ENVIRONMENT_BYTES // SECTOR_BYTES
    values = {
        "SLOTS": slots.strip(),
        "ENVIRONMENT_PART": str(disk.environment.number),
        "SECOND_COPY": f"{second:x}",
        "PART_A": str(disk.slot_a.number),
        "PART_B": str(disk.slot_b.number),
        "RAMDISK": f"setenv ramdisk_addr_r {machine.ramdisk}" if machine.ramdisk else "true",
        "CONSOLE": machine.console,
        "START": machine.start,
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    for line in template.splitlines():
        if "@" in line and not line.startswith("#"):
            raise ParseError(f"boot.cmd: expected only {', '.join(values)} in @…@, got {line!a}")
    return template


def image(script: str) -> bytes:
    """The script as `source` wants it: with the header that mkimage(1) makes."""
    body = script.encode("ascii")
    data = struct.pack(">II", len(body), 0) + body
    fields = (0, len(data), 0, 0, zlib.crc32(data), _LINUX, _ANY_ARCH, _SCRIPT, _PLAIN, b"boot")
    bare = _HEADER.pack(_MAGIC, 0, *fields)
    return _HEADER.pack(_MAGIC, zlib.crc32(bare), *fields) + data
