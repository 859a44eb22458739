"""What differs between devices of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GuestSettings:
    """What differs between devices.

    Attributes:
        memory_mb: of MiB.
        processors: of the device; more than two never helped under emulation.
        data: a folder that becomes the content of the data partition; None leaves it empty.
        drives: further disks, raw, only read.
        forwards: "ADDRESS:PORT" in the device's network -> port of our loopback.
        rtc: the clock at each start ("1970-01-01T00:00:00"); "" for the real time.
        record: where the writes of the disk are logged (blklogwrites); None for nowhere.
        disk_url: of a block server that serves the disk instead ("nbd:unix:…"); "" for the file.
        is_interactive: the console is the terminal's, and a reset restarts it; else the console is
            a file, and a reset ends QEMU.
    """

    memory_mb: int = 256
    processors: int = 2
    data: Path | None = None
    drives: tuple[Path, ...] = ()
    forwards: Mapping[str, int] = field(default_factory=dict)
    rtc: str = ""
    record: Path | None = None
    disk_url: str = ""
    is_interactive: bool = False
