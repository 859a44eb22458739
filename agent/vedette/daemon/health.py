"""What besides the sensors decides how well a device is watched: memory, flash, clock, kernel.

Rule 1: each fact says whether it is good, what was found, and what to do when it is not.
Rule 2: what cannot be read is a fact too ("unknown"), never an error: a doctor finishes the round.
"""

from __future__ import annotations

import ctypes
import gzip
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from vedette import slots
from vedette.codec.mountinfo import Mount
from vedette.codec.text import human_size
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.mounts import MOUNTINFO, mount_of
from vedette.ports.discover import slot_backend_classes

NEEDED_RAM_BYTES = 64_000_000
"""Sentinel and uplink take at most 42 MB; the rest is for a scan and for what runs beside them."""
NEEDED_FLASH_BYTES = 8_000_000
"""On top of what the journal may still grow by: state, baseline and a new bundle."""
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""
TIMEX_BYTES = 256
"""struct timex has 208 bytes on 64-bit and 128 on 32-bit Linux; modes 0 only reads."""
MAX_CONFIG_BYTES = 4_000_000

VOLATILE = frozenset({"tmpfs", "ramfs", "overlay", "squashfs", "devtmpfs"})
RAW_FLASH = frozenset({"jffs2", "ubifs", "yaffs2", "f2fs"})
WITHOUT_OWNERS = frozenset({"vfat", "exfat", "msdos", "ntfs", "ntfs3"})

KERNEL_OPTIONS: Mapping[str, str] = {
    "CONFIG_AUDITSYSCALL": "process and kernel events by audit",
    "CONFIG_PROC_EVENTS": "process events by the proc connector",
    "CONFIG_FANOTIFY": "file events with the process that made them",
    "CONFIG_INOTIFY_USER": "file events on watched trees",
    "CONFIG_NF_CONNTRACK_EVENTS": "connections as they are opened",
    "CONFIG_NF_CT_NETLINK": "connections as they are opened",
    "CONFIG_NF_TABLES": "the rule that makes connections visible",
    "CONFIG_INET_DIAG": "the process that owns a connection",
    "CONFIG_PACKET": "names from DNS answers",
    "CONFIG_DEBUG_INFO_BTF": "eBPF, the best source of all",
}


class Fact(NamedTuple):
    """One thing about the device; `advice` is "" when it is good."""

    name: str
    is_good: bool
    found: str
    advice: str = ""


def facts(config: Config) -> list[Fact]:
    """Everything this module knows, in the order in which people read it."""
    return [
        user(os.geteuid()),
        memory(_text(Path("/proc/meminfo"))),
        flash(Path(config.paths.state), config.journal.max_mb << 20),
        clock(time.time(), is_synchronised()),
        kernel(os.uname().release, kernel_options(os.uname().release)),
        trees(config.files.watch),
        firmware(config.firmware.backend),
    ]


def user(uid: int) -> Fact:
    """Whether the best sources are open to this user."""
    if uid == 0:
        return Fact("user", is_good=True, found="root")
    advice = "run as root: audit, fanotify and conntrack need it"
    return Fact("user", is_good=False, found=f"uid {uid}", advice=advice)


def memory(meminfo: str) -> Fact:
    """Whether there is room for the agent; proc_meminfo(5)."""
    lines = dict(line.partition(":")[::2] for line in meminfo.splitlines())
    try:
        total, available = (
            int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")
        )
    except (KeyError, ValueError, IndexError):
        return Fact("memory", is_good=False, found="unknown", advice="mount /proc")
    found = f"{human_size(available)} of {human_size(total)} available"
    is_good = available >= NEEDED_RAM_BYTES
    advice = "" if is_good else f"the agent wants {human_size(NEEDED_RAM_BYTES)} available"
    return Fact("memory", is_good=is_good, found=found, advice=advice)


def flash(state_dir: Path, journal_bytes: int, mountinfo: Path = MOUNTINFO) -> Fact:
    """Whether what must be kept can be kept: room, writable, and still there after a reboot."""
    there = next(path for path in (state_dir, *state_dir.parents) if path.exists())
    sizes = os.statvfs(there)
    free = sizes.f_bavail * sizes.f_frsize
    mount = mount_of(there, mountinfo)
    kind = mount.kind if mount else "unknown file system"
    found = f"{human_size(free)} free for {state_dir} ({kind})"
    advice = _flash_advice(mount, free, journal_bytes)
    return Fact("flash", is_good=not advice, found=found, advice=advice)


def _flash_advice(mount: Mount | None, free: int, journal_bytes: int) -> str:
    if mount and mount.is_read_only:
        return "it is mounted read-only: set [paths] state to a writable file system"
    if mount and mount.kind in VOLATILE:
        return "it is gone after a reboot: set [paths] state to storage that lasts"
    if mount and mount.kind in WITHOUT_OWNERS:
        return "it keeps no owners and modes: set [paths] state to ext4, ubifs or the like"
    if free < NEEDED_FLASH_BYTES + journal_bytes:
        wanted = human_size(NEEDED_FLASH_BYTES + journal_bytes)
        return f"{wanted} are wanted: free some, or lower [journal] max_mb"
    return ""


def clock(wall_s: float, is_synchronised: bool | None) -> Fact:  # noqa: FBT001 (three states)
    """Whether times in reports can be believed."""
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(wall_s))
    if wall_s < BUILD_S:
        advice = "it is before this agent was built: set it, or run a time service"
        return Fact("clock", is_good=False, found=found, advice=advice)
    if is_synchronised is None:
        return Fact("clock", is_good=True, found=f"{found}, synchronisation unknown")
    if not is_synchronised:
        advice = "run a time service (systemd-timesyncd, chrony, busybox ntpd)"
        return Fact("clock", is_good=False, found=f"{found}, not synchronised", advice=advice)
    return Fact("clock", is_good=True, found=f"{found}, synchronised")


def is_synchronised() -> bool | None:
    """What adjtimex(2) says; None where it may not be asked."""
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(timex)
    return None if state < 0 else bool(state != TIME_ERROR)


def kernel(release: str, options: frozenset[str] | None) -> Fact:
    """Which options the running kernel was built without."""
    if options is None:
        return Fact("kernel", is_good=True, found=f"{release}, options not readable")
    missing = [name for name in KERNEL_OPTIONS if name not in options]
    if not missing:
        return Fact("kernel", is_good=True, found=f"{release}, all options that help")
    advice = "; ".join(f"{name} gives {KERNEL_OPTIONS[name]}" for name in missing)
    return Fact("kernel", is_good=False, found=f"{release}, {len(missing)} missing", advice=advice)


def kernel_options(release: str, roots: Iterable[Path] = (Path("/"),)) -> frozenset[str] | None:
    """Names of the options built in or as modules; None where no file tells."""
    for root in roots:
        try:
            with gzip.open(root / "proc/config.gz", "rt", encoding="ascii") as stream:
                return parse_options(stream.read(MAX_CONFIG_BYTES))
        except (OSError, EOFError, UnicodeDecodeError):
            text = _text(root / f"boot/config-{release}")
        if text:
            return parse_options(text)
    return None


def parse_options(text: str) -> frozenset[str]:
    """The options that are y or m in a kernel's configuration."""
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return frozenset(name for name, _, value in pairs if value.strip() in {"y", "m"})


def trees(watch: Iterable[str]) -> Fact:
    """Which watched trees this device does not have."""
    missing = [path for path in watch if not Path(path).is_dir()]
    if missing:
        return Fact("trees", is_good=True, found=f"not on this device: {', '.join(missing)}")
    return Fact("trees", is_good=True, found="all watched trees exist")


def firmware(backend: str) -> Fact:
    """How this device takes a firmware, and whether anybody has seen that on a booted device."""
    if not backend:
        return Fact("firmware", is_good=True, found="none is taken ([firmware] backend)")
    found = slot_backend_classes(slots)[backend]
    if not found.unproven:
        return Fact("firmware", is_good=True, found=f"by {backend}")
    words = f"by {backend}, experimental; not proven: {found.unproven}"
    advice = "try an update, a roll-back and a power cut on this device before you rely on it"
    return Fact("firmware", is_good=False, found=words, advice=advice)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[:MAX_CONFIG_BYTES]
    except OSError:
        return ""
