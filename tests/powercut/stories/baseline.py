"""The file baseline in SQLite: replaced as a whole, changed in part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.codec.scan_stream import expected_bytes
from vedette.model.baseline import FileRecord
from vedette.store.baseline import SqliteBaseline

FILES = 40
STEPS = 5


def play(folder: Path, mark: Mark) -> None:
    """A first scan, then two acceptances and two whole replacements."""
    baseline = SqliteBaseline(folder)
    require(baseline.open() == [], "a first start reports something")
    for number in range(1, STEPS + 1):
        mark(f"begun {number}")
        if number % 2:
            baseline.replace(_records(number))
        else:
            baseline.accept(_records(number), [f"/etc/{number - 1}/{FILES - 1}"])
        mark(f"done {number}")
    baseline.close()


def check(folder: Path, marks: Sequence[str]) -> None:
    """One whole set of records: the last one promised or the one begun."""
    baseline = SqliteBaseline(folder)
    problems = baseline.open()
    try:
        require(problems == [], f"{problems}")
        digests = {_digest(number): number for number in range(STEPS + 1)}
        found = digests.get(baseline.digest(), -1)
        Promises(marks).require(found, "set of records")
        require(baseline.is_empty() == (found == 0), "records that nobody accepted")
    finally:
        baseline.close()


def _records(number: int) -> Iterator[FileRecord]:
    for place in range(FILES):
        digest = hashlib.sha256(f"{number} {place}".encode()).hexdigest()
        path = f"/etc/{number}/{place}"
        yield FileRecord(path, "file", 0o100644, 0, 0, 1, 2, 3, 4, digest, "")


def _digest(number: int) -> str:
    """Of the baseline after so many steps."""
    records: dict[str, FileRecord] = {}
    for step in range(1, number + 1):
        if step % 2:
            records = {}
        else:
            del records[f"/etc/{step - 1}/{FILES - 1}"]
        records |= {record.path: record for record in _records(step)}
    total = hashlib.sha256()
    for _, record in sorted((path.replace("/", "\0"), record) for path, record in records.items()):
        total.update(expected_bytes(record))
    return total.hexdigest()
