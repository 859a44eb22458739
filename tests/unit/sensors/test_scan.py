"""What a scan tells once: the same state of a file has the same mark."""

from __future__ import annotations

import pytest

from vedette.core.baseline import compare
from vedette.model.baseline import Difference, FileRecord
from vedette.sensors.scan import _mark

EXPECTED = FileRecord("/bin/su", "file", 0o100755, 0, 0, 7, 11, 5, 100, "aa", "")
FOUND = EXPECTED._replace(mode=0o104755, ctime_ns=0)


def difference(found: FileRecord | None, expected: FileRecord | None = EXPECTED) -> Difference:
    made = compare(expected, found)
    assert made is not None
    return made


def test_a_change_that_was_fresh_and_has_aged_is_the_same() -> None:
    aged = FOUND._replace(ctime_ns=200)
    assert _mark(difference(FOUND)) == _mark(difference(aged))
    assert _mark(difference(FOUND)) == _mark(difference(aged, EXPECTED._replace(ctime_ns=0)))
    assert _mark(difference(FOUND, None)) == _mark(difference(aged, None))


@pytest.mark.parametrize(
    "other",
    [
        FOUND._replace(mode=0o102755), FOUND._replace(digest="bb"), FOUND._replace(uid=1),
        FOUND._replace(mtime_ns=6), FOUND._replace(path="/bin/sv"), None,
    ],
)  # fmt: skip
def test_another_change_is_another(other: FileRecord | None) -> None:
    assert _mark(difference(other)) != _mark(difference(FOUND))
