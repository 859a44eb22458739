"""Makes file systems and disks from folders and files, with no mount."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vedette_dev.images import environment, tools
from vedette_dev.images.layout import ENVIRONMENT_BYTES, Layout, Partition, sfdisk_script

_PIECE_BYTES = 1 << 20
_FEATURES = "^metadata_csum_seed,^orphan_file"
"""U-Boot 2023.01 reads ext4 without these, which newer e2fsprogs make by default."""


def make_ext4(place: Path, tree: Path | None, size_bytes: int, label: str, log: Path) -> None:
    """A file system in a file of its own, with a folder's content; owners stay as they are."""
    content: list[str | Path] = [] if tree is None else ["-d", tree]
    place.unlink(missing_ok=True)
    with place.open("wb") as stream:
        stream.truncate(size_bytes)
    options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-O", _FEATURES, "-m", "1", "-L", label]
    tools.run(["mke2fs", *options, *content, place], log)


def make_disk(
    place: Path, layout: Layout, parts: Mapping[str, Path], script: Path, log: Path
) -> None:
    """A disk with its table, the boot script, a factory environment, and what is in its parts.

    Args:
        place: the disk's file.
        layout: where its partitions are.
        parts: images by the partition's name; one that is not named stays empty.
        script: boot.scr.
        log: of the tools.
    """
    place.unlink(missing_ok=True)
    with place.open("wb") as stream:
        stream.truncate(layout.size_bytes)
    tools.run(["sfdisk", "--quiet", place], log, given=sfdisk_script(layout))
    boot = place.with_suffix(".boot")
    tools.run(["mkfs.vfat", "-C", "-n", "BOOT", boot, str(layout.boot.size_bytes >> 10)], log)
    tools.run(["mcopy", "-i", boot, script, "::boot.scr"], log)
    for partition in layout.partitions:
        source = boot if partition is layout.boot else parts.get(partition.name)
        if source is not None:
            put(place, partition, source)
    boot.unlink()
    write_environment(place, layout, environment.FACTORY)


def put(disk: Path, partition: Partition, source: Path) -> None:
    """Write an image to the start of a partition; what is there already is not written again.

    Raises:
        ValueError: it is larger than the partition.
    """
    size = source.stat().st_size
    if size > partition.size_bytes:
        raise ValueError(f"{partition.name}: expected {partition.size_bytes} bytes, got {size}")
    with source.open("rb") as given, disk.open("r+b") as stream:
        position = 0
        while piece := given.read(_PIECE_BYTES):
            stream.seek(partition.start_bytes + position)
            if stream.read(len(piece)) != piece:  # so that holes stay holes
                stream.seek(partition.start_bytes + position)
                stream.write(piece)
            position += len(piece)


def write_environment(disk: Path, layout: Layout, values: Mapping[str, str]) -> None:
    """Write both copies of the boot loader's environment."""
    with disk.open("r+b") as stream:
        for number in (0, 1):
            stream.seek(layout.environment_copy(number))
            stream.write(environment.encode(values))


def read_environment(disk: Path, layout: Layout, number: int) -> dict[str, str] | None:
    """One copy of the boot loader's environment; None where it is damaged."""
    with disk.open("rb") as stream:
        stream.seek(layout.environment_copy(number))
        return environment.decode(stream.read(ENVIRONMENT_BYTES))
