"""Where the partitions of a device's disk lie; pure.

    1 boot        FAT: boot.scr
    2 uboot-env   two copies of U-Boot's environment, raw, ENVIRONMENT_BYTES each
    3 rootfs-a    ext4, read-only: a firmware with its kernel and initrd
    4 rootfs-b    the same for the other slot
    5 data        ext4: what outlives a firmware

Rule: every partition begins at a whole MiB, as flash and file systems like it.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
SECTOR_BYTES = 512
ENVIRONMENT_BYTES = 0x1000
"""Of one copy: packaging/boot/uboot-slots.cmd reads and writes eight sectors."""
BOOT_BYTES = 16 * MIB
"""The smallest FAT16 that mkfs.fat makes with whole clusters is 8 MiB."""
DATA_BYTES = 256 * MIB
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"


@dataclass(frozen=True, slots=True)
class Partition:
    """One of them.

    Attributes:
        number: from 1.
        name: its label in the GPT.
        start_bytes: from the start of the disk.
        size_bytes: a multiple of a MiB.
    """

    number: int
    name: str
    start_bytes: int
    size_bytes: int

    @property
    def start_sector(self) -> int:
        """Its first sector."""
        return self.start_bytes // SECTOR_BYTES


@dataclass(frozen=True, slots=True)
class Layout:
    """All of them, in their order."""

    boot: Partition
    environment: Partition
    slot_a: Partition
    slot_b: Partition
    data: Partition

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """From the first to the last."""
        return self.boot, self.environment, self.slot_a, self.slot_b, self.data

    @property
    def size_bytes(self) -> int:
        """Of the whole disk: a MiB behind the last one holds the second table."""
        return self.data.start_bytes + self.data.size_bytes + MIB

    def slot(self, name: str) -> Partition:
        """The partition of slot "a" or "b"."""
        return {"a": self.slot_a, "b": self.slot_b}[name]

    def environment_copy(self, number: int) -> int:
        """Where copy 0 or 1 of the environment starts, in bytes from the start of the disk."""
        return self.environment.start_bytes + number * ENVIRONMENT_BYTES


def layout(slot_bytes: int, data_bytes: int = DATA_BYTES) -> Layout:
    """The layout for slots and a data partition of at least these sizes."""
    sizes = (
        ("boot", BOOT_BYTES),
        ("uboot-env", MIB),
        ("rootfs-a", slot_bytes),
        ("rootfs-b", slot_bytes),
        ("data", data_bytes),
    )
    made, start = [], MIB
    for number, (name, size) in enumerate(sizes, start=1):
        whole = -(-size // MIB) * MIB
        made.append(Partition(number, name, start, whole))
        start += whole
    return Layout(*made)


def sfdisk_script(disk: Layout) -> str:
    """What sfdisk(8) reads to make the table."""
    lines = ["label: gpt", "unit: sectors", "first-lba: 34"]
    for one in disk.partitions:
        kind = _BASIC_DATA if one is disk.boot else _LINUX
        size = one.size_bytes // SECTOR_BYTES
        lines.append(f'start={one.start_sector}, size={size}, type={kind}, name="{one.name}"')
    return "\n".join(lines) + "\n"
