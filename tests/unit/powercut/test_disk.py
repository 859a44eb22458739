"""What may be on a disk after a cut: each rule of the model, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.powercut.disk import (
    DROPPED,
    EMPTY,
    KEPT,
    SHORT,
    UNFILLED,
    Cut,
    Disk,
    Fate,
    Image,
    Link,
    write_image,
)
from tests.powercut.exploration import explore
from tests.powercut.operations import (
    Linked,
    Made,
    Marked,
    Operation,
    Pointed,
    RecordError,
    Removed,
    Renamed,
    Resized,
    Synced,
    Written,
    parse,
)

ROOT, FOLDER, FILE = 1, 2, 3
MADE: list[Operation] = [Made(FILE, "/r/f"), Written(FILE, 0, b"old"), Synced(FILE), Synced(ROOT)]


def last(*operations: Operation) -> Cut:
    return list(Disk("/r", ROOT).cuts(operations))[-1]


def images(cut: Cut, quota: int = 200) -> list[Image]:
    return [state.image for state in explore([cut], quota, 1)]


def test_what_was_synced_is_there_whatever_happens() -> None:
    cut = last(*MADE)
    assert cut.pending == ()
    assert images(cut) == [{"f": b"old"}]


def test_a_synced_file_whose_folder_was_not_may_have_no_name() -> None:
    cut = last(*MADE[:3])
    assert {tuple(image) for image in images(cut)} == {("f",), ()}
    assert all(image.get("f", b"old") == b"old" for image in images(cut))


def test_a_name_may_be_there_without_its_content() -> None:
    cut = last(*MADE[:2], Synced(ROOT))
    assert {image["f"] for image in images(cut)} >= {b"", b"old", b"\0\0\0", b"\xa5\xa5\xa5"}


def test_a_rename_happens_whole_or_not() -> None:
    cut = last(*MADE, Made(4, "/r/n"), Written(4, 0, b"new"), Synced(4), Renamed("/r/n", "/r/f"))
    found = images(cut)
    assert {image["f"] for image in found} == {b"old", b"new"}
    assert all(image["f"] == b"old" for image in found if "n" in image)


def test_an_unsynced_file_renamed_over_another_may_leave_nothing_of_both() -> None:
    cut = last(*MADE, Made(4, "/r/n"), Written(4, 0, b"new"), Renamed("/r/n", "/r/f"), Synced(ROOT))
    assert {image["f"] for image in images(cut)} >= {b"", b"new"}


def test_a_later_change_may_be_there_without_an_earlier_one() -> None:
    cut = last(*MADE, Written(FILE, 0, b"1"), Written(FILE, 1, b"2"))
    assert {image["f"] for image in images(cut)} >= {b"old", b"1ld", b"o2d", b"12d"}


def test_each_block_of_512_bytes_is_old_or_new_by_itself() -> None:
    old, new = b"o" * 1300, b"n" * 1000
    cut = last(Made(FILE, "/r/f"), Written(FILE, 0, old), Synced(0), Written(FILE, 100, new))
    for blocks in range(8):
        expected = bytearray(old)
        for number, (start, stop) in enumerate([(100, 512), (512, 1024), (1024, 1100)]):
            if blocks >> number & 1:
                expected[start:stop] = b"n" * (stop - start)
        assert cut.image([Fate(blocks=blocks)]) == {"f": bytes(expected)}


@pytest.mark.parametrize(
    ("fate", "content"),
    [
        (KEPT, b"old" + b"x" * 600),
        (DROPPED, b"old"),
        (EMPTY, b"old" + bytes(600)),
        (SHORT, b"old"),
        (UNFILLED, b"old" + b"\xa5" * 600),
        (Fate(blocks=2), b"old" + bytes(509) + b"x" * 91),
        (Fate(blocks=1), b"old" + b"x" * 509 + bytes(91)),
        (Fate(blocks=1, is_grown=False), b"old" + b"x" * 509),
    ],
)
def test_what_grew_may_read_as_anything_until_it_is_synced(fate: Fate, content: bytes) -> None:
    cut = last(*MADE, Written(FILE, 3, b"x" * 600))
    assert cut.image([fate]) == {"f": content}


def test_a_cut_is_undone_or_done() -> None:
    cut = last(*MADE, Resized(FILE, 1))
    assert {image["f"] for image in images(cut)} == {b"old", b"o"}
    assert last(*MADE, Resized(FILE, 5)).image([KEPT]) == {"f": b"old\0\0"}


def test_between_folders_a_file_is_never_lost_and_may_have_both_names() -> None:
    moved: list[Operation] = [
        *MADE,
        Made(FOLDER, "/r/d", is_folder=True),
        Synced(ROOT),
        Renamed("/r/f", "/r/d/f"),
    ]
    cases: list[tuple[list[Operation], set[tuple[str, ...]]]] = [
        ([], {("d", "f"), ("d", "d/f")}),
        ([Synced(FOLDER)], {("d", "d/f"), ("d", "d/f", "f")}),
        ([Synced(ROOT)], {("d", "f"), ("d", "d/f")}),
        ([Synced(FOLDER), Synced(ROOT)], {("d", "d/f")}),
    ]
    for synced, expected in cases:
        assert {tuple(image) for image in images(last(*moved, *synced))} == expected


def test_what_is_in_a_folder_goes_with_the_folders_name() -> None:
    cut = last(Made(FOLDER, "/r/d", is_folder=True), Made(FILE, "/r/d/f"), Synced(FOLDER))
    assert {tuple(image) for image in images(cut)} == {(), ("d", "d/f")}


def test_removed_links_and_second_names() -> None:
    cut = last(*MADE, Linked("/r/f", "/r/g"), Pointed("f", "/r/p"), Synced(ROOT), Removed("/r/f"))
    assert images(cut) == [
        {"g": b"old", "p": Link("f")},
        {"f": b"old", "g": b"old", "p": Link("f")},
    ]


def test_two_names_that_change_places() -> None:
    cut = last(
        *MADE, Made(4, "/r/g"), Synced(0), Renamed("/r/f", "/r/g", is_exchange=True), Synced(ROOT)
    )
    assert images(cut) == [{"f": b"", "g": b"old"}]


def test_a_number_used_again_is_another_file() -> None:
    cut = last(*MADE, Removed("/r/f"), Synced(ROOT), Made(FILE, "/r/h"), Synced(ROOT))
    assert images(cut) == [{"h": b""}]


def test_marks_belong_to_the_cuts_after_them() -> None:
    cuts = list(Disk("/r", ROOT).cuts([Marked("a"), Marked("b")]))
    assert [cut.marks for cut in cuts] == [(), ("a",), ("a", "b")]


def test_what_was_there_before_is_safe() -> None:
    disk = Disk("/r", ROOT, [("d", FOLDER, None), ("d/f", FILE, b"old"), ("l", 9, Link("d"))])
    (before, after) = disk.cuts([Written(FILE, 0, b"N")])
    assert before.image([]) == {"d": None, "d/f": b"old", "l": Link("d")}
    assert after.image([DROPPED]) == before.image([])


def test_earlier_cuts_do_not_see_later_changes() -> None:
    cuts = list(Disk("/r", ROOT).cuts([*MADE, Written(FILE, 0, b"new"), Synced(FILE)]))
    assert cuts[4].image([]) == {"f": b"old"}
    assert cuts[-1].image([]) == {"f": b"new"}


@pytest.mark.parametrize(
    "operations",
    [
        [Written(9, 0, b"x")],
        [Made(FILE, "/elsewhere/f")],
        [Made(FILE, "/r/d/f")],
        [Renamed("/r/f", "/r/g")],
    ],
)
def test_what_was_made_unseen_is_an_error(operations: list[Operation]) -> None:
    with pytest.raises(RecordError, match="expected"):
        last(*operations)


@pytest.mark.parametrize(
    "record", [b"W 1 0 9\nshort\n", b"C 1", b"Z 1\n\n", b"S 1 2\n\n", b"S 1\nx"]
)
def test_a_record_that_is_not_whole_is_refused(record: bytes) -> None:
    with pytest.raises(RecordError, match="expected"):
        parse(record)


def test_the_same_seed_gives_the_same_states() -> None:
    cut = last(*MADE, *(Written(FILE, n * 512, bytes([n]) * 512) for n in range(12)))
    first, again, other = (
        [state.fates for state in explore([cut], 50, seed)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert len({tuple(image.items()) for image in images(cut, 50)}) == 50


def test_links_into_the_recorded_folder_lead_into_the_new_one(tmp_path: Path) -> None:
    image: Image = {"d": None, "d/f": b"x", "in": Link("/r/d"), "out": Link("/rest")}
    write_image(image, str(tmp_path), "/r")
    assert (tmp_path / "in").resolve() == tmp_path / "d"
    assert (tmp_path / "d" / "f").read_bytes() == b"x"
    assert (tmp_path / "out").readlink() == Path("/rest")
