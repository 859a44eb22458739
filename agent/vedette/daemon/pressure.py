"""Whether somebody starves the agent: a disk that is filled, memory that is pressed.

Rule 1: told before it hurts: at these marks the journal still writes and nothing was killed yet.
Rule 2: what has been told is told again only after it had clearly ended (a gap between the marks).
Rule 3: what this kernel does not say is not pressed: where PSI is missing, free memory decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec.pressure import parse_memory, parse_stalled
from vedette.codec.text import human_size
from vedette.errors import ParseError

STALLED_PERCENT: Final = 20.0
"""Of the last 10 s: everything on the device waits for memory a fifth of the time."""
EASED_PERCENT: Final = 5.0
SCARCE_PART: Final = 32
"""Less than this part of the memory could still be had: the kernel ends processes soon."""
NEEDED_BYTES: Final = 4 << 20
"""What journal, state and baseline want for their next commits, and a new bundle beside."""
NEEDED_FILES: Final = 32

PSI: Final = Path("/proc/pressure/memory")
MEMINFO: Final = Path("/proc/meminfo")


class Pressed(NamedTuple):
    """One thing that is short now, for people."""

    condition: str
    detail: str


class Pressure:
    """Looks at disk and memory.

    Args:
        folder: on the disk that has to have room.
        psi: the kernel's text about waiting for memory.
        meminfo: the kernel's text about what there is.
    """

    def __init__(self, folder: Path, psi: Path = PSI, meminfo: Path = MEMINFO) -> None:
        self._folder, self._psi, self._meminfo = folder, psi, meminfo
        self._told: frozenset[str] = frozenset()

    def begun(self) -> list[Pressed]:
        """What has become short since it was last told."""
        now = {"disk-full": self._disk(), "memory-pressed": self._memory()}
        return self._news({name: found for name, found in now.items() if found})

    def _news(self, now: Mapping[str, str]) -> list[Pressed]:
        new = [Pressed(name, detail) for name, detail in now.items() if name not in self._told]
        self._told = frozenset(now)
        return new

    def _disk(self) -> str:
        try:
            sizes = os.statvfs(self._folder)
        except OSError:
            return ""  # a folder that is gone is told as that
        free = sizes.f_bavail * sizes.f_frsize
        # A file system that is short already stays so until there is twice what is needed.
        margin = 2 if "disk-full" in self._told else 1
        if free < margin * NEEDED_BYTES:
            return f"{human_size(free)} are free for {self._folder}"
        if sizes.f_files and sizes.f_favail < margin * NEEDED_FILES:
            return f"{sizes.f_favail} more files fit on the disk of {self._folder}"
        return ""

    def _memory(self) -> str:
        is_told = "memory-pressed" in self._told
        try:
            stalled = parse_stalled(self._psi.read_text("ascii", "replace"))
        except (OSError, ParseError):
            stalled = 0.0
        if stalled >= (EASED_PERCENT if is_told else STALLED_PERCENT):
            return f"in {stalled:.0f} % of the last 10 s everything waited for memory"
        try:
            memory = parse_memory(self._meminfo.read_text("ascii", "replace"))
        except (OSError, ParseError):
            return ""
        scarce = memory.total_bytes // SCARCE_PART * (2 if is_told else 1)
        if memory.available_bytes < scarce:
            return f"{human_size(memory.available_bytes)} of {human_size(memory.total_bytes)} left"
        return ""
