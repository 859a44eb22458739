"""Differences in words."""

from __future__ import annotations

import pytest

from vedette.core.baseline import (
    ChangeHints,
    compare,
    describe,
    is_same_moment,
    to_accept,
    within,
)
from vedette.model.baseline import Difference, FileRecord, Hint

FILE = FileRecord("/bin/su", "file", 0o100755, 0, 0, 5, 1, 2, 3, "aa" * 32, "")

CHANGES: dict[str, tuple[FileRecord, tuple[str, ...]]] = {
    "only times and inode": (FILE._replace(inode=9, mtime_ns=9, ctime_ns=9), ()),
    "content": (FILE._replace(digest="bb" * 32), ("content",)),
    "a setuid bit": (FILE._replace(mode=0o104755), ("mode 0755 -> 4755",)),
    "an owner": (FILE._replace(uid=5, gid=6), ("owner 0:0 -> 5:6",)),
    "capabilities": (FILE._replace(capabilities="01ff"), ("capabilities none -> 01ff",)),
    "a link in its place": (FILE._replace(kind="link"), ("kind file -> link",)),
    "nobody may read it": (FILE._replace(digest=""), ("unreadable",)),
    "all at once": (
        FILE._replace(digest="bb" * 32, mode=0o100700, uid=1, capabilities="01"),
        ("content", "owner 0:0 -> 1:0", "mode 0755 -> 0700", "capabilities none -> 01"),
    ),
}


@pytest.mark.parametrize(("found", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_told_in_words(found: FileRecord, words: tuple[str, ...]) -> None:
    difference = compare(FILE, found)
    assert (difference.words if difference else ()) == words


def test_a_link_that_points_elsewhere_is_another_target() -> None:
    link = FILE._replace(kind="link")
    difference = compare(link, link._replace(digest="bb" * 32))
    assert difference is not None
    assert difference.words == ("target",)


def test_a_file_too_large_to_read_is_judged_by_its_size() -> None:
    large = FILE._replace(digest="")
    assert compare(large, large._replace(mtime_ns=7)) is None
    difference = compare(large, large._replace(size_bytes=6))
    assert difference is not None
    assert difference.words == ("size",)


def test_what_is_new_says_what_is_remarkable_about_it() -> None:
    added = compare(None, FILE._replace(mode=0o104755, capabilities="01"))
    assert added is not None
    assert (added.change, added.words) == ("added", ("file", "mode 4755", "capabilities 01"))


def test_what_is_gone_and_what_never_was() -> None:
    removed = compare(FILE, None)
    assert removed is not None
    assert (removed.change, removed.path, removed.found) == ("removed", FILE.path, None)
    assert compare(None, None) is None


@pytest.mark.parametrize("field", ["inode", "size_bytes", "mtime_ns", "ctime_ns"])
def test_each_of_the_four_marks_of_a_moment_counts(field: str) -> None:
    assert is_same_moment(FILE, FILE)
    changed = FileRecord(**{**FILE._asdict(), field: 99})
    assert not is_same_moment(FILE, changed)


def test_accepting_takes_what_was_found_and_forgets_what_is_gone() -> None:
    added = Difference("added", "/etc/new", (), None, FILE._replace(path="/etc/new"), "")
    gone = Difference("removed", "/etc/old", (), FILE, None, "")
    beside = Difference("removed", "/etc-beside", (), FILE, None, "")
    chosen = within([added, gone, beside], ["/etc/"])
    assert chosen == [added, gone]
    assert to_accept(chosen) == ([added.found], ["/etc/old"])
    assert within([added, gone, beside], []) == [added, gone, beside]


def test_a_description_is_for_people_and_programs() -> None:
    difference = compare(FILE, FILE._replace(mode=0o104755))
    assert difference is not None
    document = describe(difference)
    assert document["words"] == ["mode 0755 -> 4755"]
    assert document["found"] == {
        "kind": "file",
        "mode": "4755",
        "uid": 0,
        "gid": 0,
        "size_bytes": 5,
        "sha256": FILE.digest,
        "capabilities": "",
    }


def test_hints_are_bounded_and_the_oldest_goes_first() -> None:
    hints = ChangeHints(limit=2)
    hints.note("/a", Hint(1, "/bin/a", 1.0))
    hints.note("/b", Hint(2, "/bin/b", 2.0))
    hints.note("/a", Hint(3, "/bin/c", 3.0))
    hints.note("/c", Hint(4, "", 4.0))
    assert hints.who("/a") == Hint(3, "/bin/c", 3.0)
    assert hints.who("/b") is None
