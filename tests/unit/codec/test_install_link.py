from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import install_link as link
from vedette.errors import ParseError

FRAMES: dict[str, link.Frame] = {
    "metadata": link.WantMetadata("2.root.json", 1 << 20),
    "metadata of a quoted role": link.WantMetadata("3...%2Fx%3F.json", 5),
    "target": link.WantTarget("firmware/cam/ab.img", ((0, 4096), (8192, 1))),
    "beyond 2^31": link.WantTarget("big", ((2**31 - 1, 2), (2**31 + 1, 2**31))),
    "beyond 2^32": link.WantTarget("big", ((2**32 - 1, 2), (2**32 + 1, 2**33))),
    "up to the last byte": link.WantTarget("big", ((2**63 - 3, 2),)),
    "leave": link.Leave(),
    "data": link.Data(memoryview(b"\x00bytes")),
    "end": link.End(),
    "absent": link.Absent("HTTP status 404"),
    "failed": link.Failed("the line is cut"),
}
BAD = {
    "nothing": b"",
    "an unknown tag": b"X",
    "data without data": b"D",
    "an end with more": b"E!",
    "a leave with more": b"L!",
    "a size of 0": b"M" + bytes(8) + b"a.json",
    "a size beyond 2^63": b"M" + b"\xff" * 8 + b"a.json",
    "a name with a slash": b"M\x01" + bytes(7) + b"../a.json",
    "a name of nothing": b"M\x01" + bytes(7),
    "a name that is no metadata": b"M\x01" + bytes(7) + b"a.txt",
    "runs of none": b"T\x00\x00\x01\x00a",
    "fewer runs than said": b"T\x02\x00\x01\x00" + bytes(16) + b"a",
    "an empty run": b"T\x01\x00\x01\x00" + bytes(16) + b"a",
    "an absolute path": b"T\x01\x00\x02\x00" + bytes(8) + b"\x01" + bytes(7) + b"/a",
    "a path of half a character": b"T\x01\x00\x01\x00" + bytes(8) + b"\x01" + bytes(7) + b"\xc3",
    "a reason without end": b"F" + b"x" * (link.MAX_REASON_BYTES + 1),
    "more than a frame": bytes(link.MAX_FRAME_BYTES + 1),
}


def body(frame: link.Frame) -> bytes:
    data = link.encode(frame)
    length = link.frame_length(data[: link.LENGTH.size])
    assert len(data) == link.LENGTH.size + length
    return data[link.LENGTH.size :]


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_read_back_as_it_was(frame: link.Frame) -> None:
    assert link.decode(body(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_cut_frame_is_refused_or_is_a_shorter_text(frame: link.Frame) -> None:
    data = body(frame)
    for size in range(len(data)):
        with contextlib.suppress(ParseError):
            assert type(link.decode(data[:size])) is type(frame)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        link.decode(data)


@pytest.mark.parametrize("length", [0, link.MAX_FRAME_BYTES + 1, 2**31, 2**32 - 1])
def test_a_length_beyond_the_bounds_is_refused(length: int) -> None:
    with pytest.raises(ParseError, match="expected a frame of 1 to"):
        link.frame_length(link.LENGTH.pack(length))


def test_half_a_length_is_refused() -> None:
    with pytest.raises(ParseError, match="4 bytes"):
        link.frame_length(b"\x01\x00")


@pytest.mark.parametrize(
    "runs",
    [
        (),
        ((0, 0),),
        ((0, 4), (3, 4)),
        ((8, 4), (0, 4)),
        ((-1, 4),),
        ((2**63 - 1, 1),),
        tuple((2 * index, 1) for index in range(link.MAX_RUNS + 1)),
    ],
    ids=["none", "empty", "overlap", "order", "negative", "beyond", "too many"],
)
def test_runs_that_nobody_asks_for_are_refused(runs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        link.encode(link.WantTarget("a", runs))


def test_the_largest_questions_and_answers_fit() -> None:
    runs = tuple((2 * index, 1) for index in range(link.MAX_RUNS))
    question = link.WantTarget("p" * link.MAX_PATH_BYTES, runs)
    assert link.decode(body(question)) == question
    answer = link.Data(memoryview(bytes(link.MAX_DATA_BYTES)))
    assert link.decode(body(answer)) == answer
    with pytest.raises(ValueError, match="bytes of data"):
        link.data_head(link.MAX_DATA_BYTES + 1)


@pytest.mark.parametrize(
    "name", ["", "a", "../a.json", "a b.json", "a.json\n", "x" * 2048 + ".json"]
)
def test_names_that_no_metadata_has_are_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="metadata file"):
        link.encode(link.WantMetadata(name, 1))


@pytest.mark.parametrize("path", ["", "/a", "a\n", "\ud800", "x" * 2049])
def test_paths_that_no_target_has_are_not_asked_for(path: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        link.encode(link.WantTarget(path, ((0, 1),)))


def test_a_long_reason_is_cut() -> None:
    read = link.decode(body(link.Failed("\u00fc" * 2000)))
    assert isinstance(read, link.Failed)
    assert len(read.reason.encode()) <= link.MAX_REASON_BYTES + 2


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert link.decode(body(link.decode(data))) == link.decode(data)
