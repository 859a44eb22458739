"""Appends to a journal until it is killed; prints the number of each acknowledged entry.

Usage: journal_until_killed.py FOLDER FIRST_NUMBER
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tests.simulators.signing import signer

from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft, Spent
from vedette.store.journal import SqliteJournal
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState


async def main(folder: Path, first: int) -> None:
    place = JournalPlace(folder / "state", folder / "run", "b" * 32, limit_bytes=256 << 10)
    journal = SqliteJournal(place, state=FileState(folder / "state"), signer=signer(1))
    reports = await journal.open()
    os.write(1, b"open %d\n" % len(reports))
    for number in itertools.count(first):
        body = b'{"n":%d,"pad":"%b"}' % (number, b"x" * (number % 3000))
        draft = EntryDraft("incident", Severity.HIGH, 1.79e9, body, "up/finding", "", False)
        (entry,) = await journal.append([draft])
        os.write(1, b"%d %d\n" % (number, entry.sequence))
        if number % 10 == 0:
            await journal.mark_delivered(entry.sequence - 5, Spent(0, 0))
            os.write(1, b"delivered %d\n" % (entry.sequence - 5))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
