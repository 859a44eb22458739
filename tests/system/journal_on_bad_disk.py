"""A journal on a disk that is full or read-only; run in a mount namespace of its own.

Usage: journal_on_bad_disk.py full|read-only FOLDER. Exits 0 when every promise was kept.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.simulators.signing import signer

from vedette.codec import journal_entry
from vedette.codec.merkle import Frontier
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import RETRY_S, JournalPlace
from vedette.store.state import FileState


def draft(number: int) -> EntryDraft:
    body = b'{"n":%d,"pad":"%b"}' % (number, b"x" * 1500)
    return EntryDraft("incident", Severity.HIGH, 1.79e9, body, "up/finding", "", is_routine=False)


def start(folder: Path) -> JournalCore:
    place = JournalPlace(folder / "state", None, "b" * 32)
    state = FileState(folder / "state")
    core = JournalCore(place, state=state, signer=signer(1), wall=lambda: 1.79e9)
    core.open(0.0)
    return core


def check(core: JournalCore, count: int) -> None:
    """Every entry is there once, in order, with growing sequences, and the chain holds."""
    found = core.outbox(0, 100_000)
    numbers = [json.loads(entry.draft.body)["n"] for entry in found]
    assert numbers == list(range(count)), numbers[:5]
    sequences = [entry.sequence for entry in found]
    assert sequences == sorted(set(sequences))
    entries = core.entries("", 100_000)[::-1]
    chain = journal_entry.extend(Frontier(), map(journal_entry.encode, entries))
    assert chain.root() == core.status().root


def full(folder: Path) -> None:
    core = start(folder)
    assert not core.status().is_degraded
    core.append([[draft(0)]], 0.0)
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    count = 1
    while not core.status().is_degraded:
        core.append([[draft(count)]], 0.0)
        count += 1
        assert count < 1000
    for number in range(count, count + 50):
        core.append([[draft(number)]], 1.0)
    count += 50
    check_sent = [json.loads(entry.draft.body)["n"] for entry in core.outbox(0, 100_000)]
    assert check_sent == list(range(count))
    core.tick(RETRY_S)
    assert core.status().is_degraded
    assert "full" in core.status().reason
    ballast.unlink()
    core.tick(3 * RETRY_S)
    assert not core.status().is_degraded, core.status().reason
    check(core, count)
    core.close(0.0)
    again = start(folder)
    assert again.reports == [], again.reports
    check(again, count)


def read_only(folder: Path) -> None:
    core = start(folder)
    core.append([[draft(number) for number in range(5)]], 0.0)
    core.close(0.0)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    core = start(folder)
    assert core.status().is_degraded
    assert len(core.reports) == 1
    core.append([[draft(number) for number in range(5, 8)]], 0.0)
    assert [json.loads(entry.draft.body)["n"] for entry in core.outbox(5, 9)] == [5, 6, 7]
    assert core.tick(RETRY_S) == 2 * RETRY_S
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    assert core.tick(2 * RETRY_S) is None
    assert not core.status().is_degraded, core.status().reason
    check(core, 8)
    core.close(0.0)
    again = start(folder)
    assert again.reports == [], again.reports
    check(again, 8)


STORIES: dict[str, Callable[[Path], None]] = {"full": full, "read-only": read_only}


if __name__ == "__main__":
    story, place = sys.argv[1:]
    disk = Path(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    STORIES[story](disk)
