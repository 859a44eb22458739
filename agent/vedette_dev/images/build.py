"""`make images`: the disk of a device, from packages to partitions."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vedette.errors import DeviceError, RequestError
from vedette_dev import cache
from vedette_dev.cache import REPOSITORY
from vedette_dev.images import boot_script, disk, grub, kernel, product, root, tools
from vedette_dev.images.inputs import digest
from vedette_dev.images.layout import MIB, Layout, layout
from vedette_dev.images.target import Arch, Target, target

KEPT = 6
"""Images of one kind in the cache, some 700 MB each: a handful of branches are worked on."""
NEEDED_BYTES = 4 << 30
"""On the cache's file system while an image is made: two trees, a slot, a disk."""
GRUB_SLOTS = REPOSITORY / "packaging/boot/grub-slots.cfg"
GRUB_TEMPLATE = product.SOURCES / "boot/grub.cfg"
Loader = Literal["uboot", "grub"]
SLOTS_SCRIPT = REPOSITORY / "packaging/boot/uboot-slots.cmd"
_PACKAGE_INPUTS = (
    "agent/vedette", "agent/vedette_dev/packages", "packaging", "pyproject.toml",
    "requirements.txt",
)  # fmt: skip
"""What decides about our .deb: it is built only where one of them is new."""
_PROGRAMS = ("mmdebstrap", "mke2fs", "sfdisk", "mkfs.vfat", "mcopy", "depmod", "zstd", "socat")
_SPARE_PERCENT = 10
"""Of a slot: room for a firmware that is a little larger."""
_EXT4_BYTES = 24 * MIB
"""Of a slot: journal, tables of inodes."""
_BLOCK_BYTES = 4096
SOON_S = 3.0
"""A root that is kept is found by then; one that is not takes minutes."""
_STEP_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True)
class Image:
    """A device's disk as it leaves the factory; it belongs to the cache: copy, never write or boot.

    Attributes:
        arch: what it runs on.
        disk: the whole disk, raw, with an empty slot b and an empty data partition.
        slot_image: the file system of slot a: what a release of firmware is.
        layout: where the disk's partitions are.
        loader: what starts it.
    """

    arch: Arch
    disk: Path
    slot_image: Path
    layout: Layout
    loader: Loader = "uboot"

    @property
    def target(self) -> Target:
        """Of its architecture."""
        return target(self.arch)

    @property
    def bios(self) -> Path | None:
        """What QEMU starts instead of the PC's own BIOS, which starts GRUB."""
        return self.target.loader if self.loader == "uboot" else None


def built(arch: str, say: Callable[[str], None] = print, *, loader: Loader = "uboot") -> Image:
    """The image of an architecture, built when something that goes into it has changed.

    Args:
        arch: as Debian calls it.
        say: takes lines for people.
        loader: "grub" only where there is a PC's BIOS.

    Raises:
        DeviceError: a tool is missing or fails, or the disk is full.
        RequestError: there is no such architecture, or no such loader on it.
    """
    machine = target(arch)
    if loader == "grub" and machine.arch != "amd64":
        raise RequestError(f"GRUB: expected amd64, got {arch}: the others are started by U-Boot")
    log = _new_log(machine.arch)
    try:
        place = _place(machine, log, say)
        slot = place / "slot.img"
        where = layout(slot.stat().st_size)
        disk_image = place / "disk.img"
        if loader == "grub":
            disk_image = _with_grub(disk_image, where, machine, log)
    except OSError as error:
        raise DeviceError(f"{error.filename or cache.root()}: {error.strerror}") from error
    return Image(machine.arch, disk_image, slot, where, loader)


def check(arch: str) -> None:
    """See whether an image of this architecture could be built and booted here; builds nothing.

    Raises:
        DeviceError: what is missing, and how to get it.
        RequestError: there is no such architecture.
    """
    machine = target(arch)
    root.can_run(machine, _new_log(machine.arch))
    for program in (machine.emulator, *_PROGRAMS):
        tools.find(program)


def export(image: Image, say: Callable[[str], None] = print) -> Path:
    """A copy of the disk for people, in build/images."""
    name = "disk.img" if image.loader == "uboot" else f"disk-{image.loader}.img"
    place = REPOSITORY / "build/images" / image.arch / name
    place.parent.mkdir(parents=True, exist_ok=True)
    copy(image.disk, place)
    say(f"image     {place} ({place.stat().st_blocks * 512 / 1e6:.0f} MB)")
    return place


def copy(source: Path, place: Path) -> None:
    """A copy of a disk that stays sparse.

    Raises:
        DeviceError: the disk is full.
    """
    log = place.with_suffix(".copy.log")
    tools.run(["cp", "--sparse=always", "--reflink=auto", source, place], log)
    log.unlink()


def _place(machine: Target, log: Path, say: Callable[[str], None]) -> Path:
    modules = kernel.read_list((product.SOURCES / "modules.txt").read_text())
    has_root = threading.Event()
    others: Future[tuple[kernel.Kernel, Path | None]] = Future()

    def rest() -> None:
        try:
            found = kernel.built(machine, modules, log, say)
            # Where there is no root yet, maintainer scripts keep one processor busy for minutes.
            is_kept = has_root.wait(SOON_S)
            others.set_result((found, None if is_kept else product.package(machine, say)))
        except Exception as error:  # noqa: BLE001 (raised where it is waited for)
            others.set_exception(error)

    # Nobody waits for its end after an interrupt: it, and the programs that it runs, end with us.
    threading.Thread(target=rest, daemon=True).start()
    tar = root.packed(machine, product.lines("packages.txt"), log, say)
    has_root.set()
    found, made = others.result()

    def make(folder: Path) -> None:
        say(f"image     {machine.arch}: slot, disk")
        _check_room(folder)
        package = made or product.package(machine, say)
        _make(folder, machine, (found, modules), (tar, package), log)

    inputs = digest(
        found.image.parent.name, tar.parent.name, *product.inputs(), SLOTS_SCRIPT,
        *(REPOSITORY / name for name in _PACKAGE_INPUTS), Path(__file__).parent,
    )  # fmt: skip
    return cache.cached(f"image-{machine.arch}", inputs, make, kept=KEPT)


def _make(
    folder: Path,
    machine: Target,
    with_kernel: tuple[kernel.Kernel, kernel.ModuleList],
    archives: tuple[Path, Path],
    log: Path,
) -> None:
    tree = folder / "tree"
    tar, package = archives
    root.unpack(tar, tree, log)
    product.install(package, tree, machine, log)
    product.furnish(tree, machine, *with_kernel)
    slot = folder / "slot.img"
    disk.make_ext4(slot, tree, _slot_bytes(tree), "rootfs", log)
    shutil.rmtree(tree)
    data = folder / "data.img"
    where = layout(slot.stat().st_size)
    disk.make_ext4(data, None, where.data.size_bytes, "data", log)
    template = (product.SOURCES / "boot/boot.cmd").read_text()
    script = boot_script.text(template, SLOTS_SCRIPT.read_text(), machine, where)
    (folder / "boot.scr").write_bytes(boot_script.image(script))
    parts = {"rootfs-a": slot, "data": data}
    disk.make_disk(folder / "disk.img", where, parts, folder / "boot.scr", log)
    data.unlink()


def _with_grub(source: Path, where: Layout, machine: Target, log: Path) -> Path:
    texts = {
        "grub.cfg": grub.configuration(GRUB_TEMPLATE.read_text(), where, machine.console),
        "grub-slots.cfg": GRUB_SLOTS.read_text(),
    }

    def make(folder: Path) -> None:
        copy(source, folder / "disk.img")
        grub.install(folder / "disk.img", where, texts, folder, log)

    # The source's name is the digest of all else.
    inputs = digest(source.parent.name, *texts.values())
    return cache.cached(f"image-grub-{machine.arch}", inputs, make, kept=KEPT) / "disk.img"


def _slot_bytes(tree: Path) -> int:
    sizes = (path.lstat().st_size for path in tree.rglob("*") if not path.is_symlink())
    used = sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes)
    wanted = _EXT4_BYTES + used * (100 + _SPARE_PERCENT) // 100
    return -(-wanted // _STEP_BYTES) * _STEP_BYTES


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise DeviceError(
            f"{folder.parent}: expected {NEEDED_BYTES >> 20} MB free to build an image, got "
            f"{free >> 20}; remove old entries, or let VEDETTE_CACHE name another folder"
        )


def _new_log(arch: str) -> Path:
    log = REPOSITORY / "build/images" / arch / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    return log
