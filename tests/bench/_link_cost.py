"""What a link of the checkpoints writes: by the real journal and key, in this process.

Nobody else's entries are between two links, so each pays for its commit, for the routine entries
that waited for one (a drill's), for the mark of what was delivered, and for the key that is erased.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench._agent import REPOSITORY

from vedette.daemon.checkpoints import Checkpoints
from vedette.model.finding import Severity
from vedette.model.journal import NOTHING_SPENT, EntryDraft
from vedette.model.message import Identity
from vedette.store.journal import SqliteJournal
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState
from vedette.trust.ed25519 import SEED_BYTES, Ed25519Signer

ENTRIES = 1000
"""In the journal before: its tree is ten levels high."""
WARM, LINKS = 2, 240
"""Ten days of them: what SQLite brings from its log into the file, each 1,000 pages, is shared."""
BOOT = "0" * 32
MEMORY = Path("/dev/shm")
"""A tmpfs, as a run folder is."""
_DRILL = b'{"word":"' + b"x" * 1400 + b'"}'


def bytes_of_a_link() -> float:
    """The mean of some, after the first."""
    with (
        tempfile.TemporaryDirectory(dir=REPOSITORY / "build") as disk,
        tempfile.TemporaryDirectory(dir=MEMORY) as run,
    ):
        return statistics.mean(asyncio.run(_links(Path(disk), Path(run)))[WARM:])


async def _links(folder: Path, run: Path) -> list[int]:
    signer, state = Ed25519Signer(os.urandom(SEED_BYTES)), FileState(folder)
    place = JournalPlace(folder / "journal", run, BOOT)
    journal = SqliteJournal(place, state=state, signer=signer)
    await journal.open()
    try:
        incident = _draft("incident", b'{"x":"' + b"y" * 700 + b'"}', is_routine=False)
        await journal.append([incident] * ENTRIES)
        identity = Identity("bench", "bench", BOOT)
        checkpoints = Checkpoints(
            journal, identity, signer, folder,
            baseline=lambda: "ab" * 32, report=_refused, added=lambda: None,
            wall=time.time,
        )  # fmt: skip
        found = []
        for _ in range(WARM + LINKS):
            before = _written()
            await journal.append([_draft("drill", _DRILL, is_routine=True)])
            await checkpoints.add()
            await journal.mark_delivered(journal.status().newest_sequence, NOTHING_SPENT)
            found.append(_written() - before)
        return found
    finally:
        await journal.close()


def _draft(kind: str, body: bytes, *, is_routine: bool) -> EntryDraft:
    topic = "" if is_routine else "up/finding"
    severity = Severity.INFORMATIONAL if is_routine else Severity.HIGH
    return EntryDraft(kind, severity, time.time(), body, topic, "", is_routine)


def _refused(condition: str, reason: str) -> None:
    raise RuntimeError(f"no link was made: {condition}: {reason}")


def _written() -> int:
    """proc_pid_io(5) of this process: what it caused to be sent to a disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
