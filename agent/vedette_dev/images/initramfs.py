"""An initrd of our own: busybox, a few modules and one script (qemu-images/initrd/init).

Rule: the archive is written here (newc, Documentation/driver-api/early-userspace/buffer-format.rst
of the kernel), so it needs no root, no foreign program, and comes out the same each time.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette_dev.images.kernel import Kernel, module_name

_FOLDERS = ("bin", "dev", "modules", "proc", "root", "sys")
_CONSOLE = (5, 1)
"""Documentation/admin-guide/devices.txt of the kernel."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the archive.

    Attributes:
        name: without a leading slash.
        mode: kind and permissions, as in st_mode.
        content: of a regular file.
        device: major and minor number of a device.
    """

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def image(
    kernel: Kernel, options: Mapping[str, str], busybox: bytes, files: Mapping[str, bytes]
) -> bytes:
    """The initrd, compressed.

    Args:
        kernel: its `order` says which modules are in it and how they are loaded.
        options: of modules, by name.
        busybox: a static one of the device's architecture.
        files: by name; "init" is the program.
    """
    modules = kernel.tree / "lib/modules" / kernel.release
    order = "".join(
        f"{_file(path)} {options.get(module_name(path), '')}\n" for path in kernel.order
    )
    members = [Member(name, stat.S_IFDIR | 0o755) for name in _FOLDERS]
    members.append(Member("dev/console", stat.S_IFCHR | 0o600, device=_CONSOLE))
    members.append(Member("bin/busybox", stat.S_IFREG | 0o755, busybox))
    members.append(Member("modules/order", stat.S_IFREG | 0o644, order.encode()))
    for path in kernel.order:
        content = (modules / path).read_bytes()
        members.append(Member(f"modules/{_file(path)}", stat.S_IFREG | 0o644, content))
    for name, content in files.items():
        members.append(Member(name, stat.S_IFREG | 0o755, content))
    return gzip.compress(archive(members), 6, mtime=0)


def archive(members: Sequence[Member]) -> bytes:
    """A cpio archive that the kernel unpacks."""
    end = Member("TRAILER!!!", 0)
    pieces = [_record(number, member) for number, member in enumerate([*members, end], start=1)]
    return b"".join(pieces)


def _record(number: int, member: Member) -> bytes:
    name = member.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(member.mode) else 1
    fields = (
        number, member.mode, 0, 0, links, 0, len(member.content), 0, 0,
        *member.device, len(name), 0,
    )  # fmt: skip
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(member.content)


def _padded(piece: bytes) -> bytes:
    return piece + bytes(-len(piece) % 4)


def _file(path: str) -> str:
    return Path(path).name
