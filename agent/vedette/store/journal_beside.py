"""What lies beside the journal's file: the tip, and damaged files set aside.

Rule 1: the tip is written after each commit and not synced: after a crash of the process it is
exact, after a power cut it may be behind, and then it proves nothing.
Rule 2: a file set aside is never written again; the newest KEPT_DAMAGED are kept.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vedette.codec.journal_entry import Tip, decode_tip, encode_tip
from vedette.errors import ParseError, StoreError
from vedette.store import durable

TIP = "journal.tip"
KEPT_DAMAGED = 2

_PARTS = ("", "-wal", "-shm", "-journal")
_MAX_TIP_BYTES = 1024


class TipFiles:
    """The tip in two places: on the disk, and in a folder that a reboot empties."""

    def __init__(self, folder: Path, run_folder: Path | None) -> None:
        self._disk = folder / TIP
        self._memory = run_folder / TIP if run_folder is not None else None

    def read(self) -> Tip | None:
        """The furthest of the tips that can be read, with the highest marks of any.

        What was spent is not a mark: it falls at the end of a day. The last place is the newest.
        """
        found: list[Tip] = []
        for path in self._paths():
            with suppress(ParseError, StoreError):
                data = durable.read(path, _MAX_TIP_BYTES)
                if data is not None:
                    found.append(decode_tip(data))
        if not found:
            return None
        return max(found)._replace(
            newest_sequence=max(tip.newest_sequence for tip in found),
            delivered=max(tip.delivered for tip in found),
            spent=found[-1].spent,
        )

    def write(self, tip: Tip) -> None:
        """Say how far the journal is, in both places."""
        for path in self._paths():
            _overwrite(path, encode_tip(tip))

    def write_memory(self, tip: Tip) -> None:
        """Say so where it costs no flash."""
        if self._memory is not None:
            _overwrite(self._memory, encode_tip(tip))

    def _paths(self) -> list[Path]:
        return [self._disk] if self._memory is None else [self._disk, self._memory]


def set_aside(path: Path) -> str:
    """Move what is left of a database out of the way, its WAL with it.

    Returns:
        The new name, or "" where nothing was left.

    Raises:
        StoreError: the disk does not allow it.
    """
    folder = path.parent
    found = [part for part in _PARTS if (folder / f"{path.name}{part}").exists()]
    if not found:
        return ""
    try:
        kept = _numbers(path)
        name = f"{path.name}.damaged-{kept[-1] + 1 if kept else 1}"
        for part in found:
            durable.disk.rename(folder / f"{path.name}{part}", folder / f"{name}{part}")
        for old in kept[: len(kept) + 1 - KEPT_DAMAGED]:
            for part in _PARTS:
                with suppress(FileNotFoundError):
                    durable.disk.unlink(folder / f"{path.name}.damaged-{old}{part}")
        durable.sync_folder(folder)
    except OSError as error:
        raise StoreError(f"{path}: cannot be set aside: {error.strerror}") from error
    return name


def _numbers(path: Path) -> list[int]:
    numbers = {
        found.name.removeprefix(f"{path.name}.damaged-").partition("-")[0]
        for found in path.parent.glob(f"{path.name}.damaged-*")
    }
    return sorted(int(number) for number in numbers if number.isdecimal())


def _overwrite(path: Path, data: bytes) -> None:
    """In place: on a full disk it still works. Without it, only a lost end goes unnoticed."""
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with durable.opened(path, flags) as descriptor:
            durable.write_at(descriptor, data, 0)
