"""Fuzz target: the journal's database file."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.simulators.memory_state import MemoryState
from tests.simulators.signing import signer

from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import FILE, JournalPlace


def target(data: bytes) -> None:
    """Any file opens as a journal or is set aside, and the next entry is recorded in either case.

    The bytes overwrite a sound file from the place that their first two name.
    """
    whole = _sound_file()
    place = int.from_bytes(data[:2], "big") % len(whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(whole[:place] + data[2:] + whole[place + len(data) - 2 :])
        core = _open(Path(folder))
        core.append([[_draft(9)]], 0.0)
        status = core.status()
        core.close(0.0)
    assert not status.is_degraded, status.reason


@cache
def _sound_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        core = _open(Path(folder))
        core.append([[_draft(number) for number in range(5)]], 0.0)
        core.close(0.0)
        return (Path(folder) / FILE).read_bytes()


def _open(folder: Path) -> JournalCore:
    place = JournalPlace(folder, None, "b" * 32)
    core = JournalCore(place, state=MemoryState(), signer=signer(1), wall=lambda: 0.0)
    core.open(0.0)
    return core


def _draft(number: int) -> EntryDraft:
    body = b"%d" % number
    return EntryDraft("incident", Severity.LOW, 0.0, body, "up/finding", "", is_routine=False)
