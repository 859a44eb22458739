"""Where and how a journal is kept, as whoever opens one says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = "journal.db"

DEFAULT_LIMIT_BYTES = 32 << 20
"""10,000 findings of 2.5 KB wait in it for a broker that is away."""

RETRY_S = 10.0
ROUTINE_S = 3600.0


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Where and how a journal is kept.

    Attributes:
        folder: on the disk, 0700, ours alone.
        run_folder: gone after a reboot, a second place for the tip; or None.
        boot: the kernel's boot id (32 hex digits).
        limit_bytes: for all entries together.
        retry_s: after which a disk that refused is tried again.
        routine_s: for which routine entries and the delivery mark may wait.
    """

    folder: Path
    run_folder: Path | None
    boot: str
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    retry_s: float = RETRY_S
    routine_s: float = ROUTINE_S
