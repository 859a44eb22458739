"""Manifests of a firmware's files: read line by line, and one that was cut is refused."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import file_manifest as codec
from vedette.codec.strict_json import canonical
from vedette.errors import ParseError
from vedette.model.baseline import FileRecord

A = "0a" * 32


def record(path: str, kind: str = "file", mode: int = 0o100755, digest: str = A) -> FileRecord:
    return FileRecord(path, kind, mode, 0, 0, 9, 0, 0, 0, digest, "")


RECORDS = [
    record("/", "dir", 0o40755, ""),
    record("/bin", "dir", 0o40755, ""),
    record("/bin/busybox")._replace(capabilities="0100000202000000"),
    record("/bin/sh", "link", 0o120777),
    record("/bin.old", "file", 0o104755),  # after the content of /bin: as a walk comes
    record("/dev/null", "other", 0o20666, ""),
    record("/etc/F\u0151tan\u00fas\u00edtv\u00e1ny.crt"),
    record("/huge", digest="")._replace(size_bytes=(1 << 30) + 1),
]


def written(records: list[FileRecord] = RECORDS) -> bytes:
    return b"".join(codec.encode(records))


def read(data: bytes) -> list[FileRecord]:
    return list(codec.decode(io.BytesIO(data)))


def line(*values: object) -> bytes:
    return canonical(list(values)) + b"\n"  # type: ignore[arg-type] # any value, to be refused


def test_what_was_written_is_read() -> None:
    assert read(written()) == RECORDS


def test_inode_and_times_are_not_signed() -> None:
    seen = record("/a")._replace(inode=5, mtime_ns=6, ctime_ns=7)
    assert read(written([seen])) == [record("/a")]


@pytest.mark.parametrize("size", range(len(codec.HEAD) + 1))
def test_no_part_of_the_head_is_a_manifest(size: int) -> None:
    with pytest.raises(ParseError, match="expected"):
        read(written()[:size])


def test_one_that_was_cut_gives_an_error_or_is_shorter_by_whole_lines() -> None:
    whole = written()
    for size in range(len(codec.HEAD), len(whole)):
        if whole[size - 1 : size] == b"\n" and size > len(codec.HEAD):
            assert read(whole[:size]) == RECORDS[: whole[:size].count(b"\n") - 1]
        else:
            with pytest.raises(ParseError, match="expected"):
                read(whole[:size])


WRONG = {
    "a path that is relative": ("bin", "file", 0o100755, 0, 0, 9, A, ""),
    "a path that climbs": ("/bin/../etc", "file", 0o100755, 0, 0, 9, A, ""),
    "a path with a dot": ("/./etc", "file", 0o100755, 0, 0, 9, A, ""),
    "a path with an empty segment": ("//etc", "file", 0o100755, 0, 0, 9, A, ""),
    "a path with a NUL": ("/a\0", "file", 0o100755, 0, 0, 9, A, ""),
    "a path of 4096 bytes": ("/" + "a" * 4095, "file", 0o100755, 0, 0, 9, A, ""),
    "a path that is no text": (7, "file", 0o100755, 0, 0, 9, A, ""),
    "a kind that is none": ("/a", "door", 0o100755, 0, 0, 9, A, ""),
    "a kind that is a list": ("/a", ["file"], 0o100755, 0, 0, 9, A, ""),
    "a file with the mode of a folder": ("/a", "file", 0o40755, 0, 0, 9, A, ""),
    "a device with the mode of a file": ("/a", "other", 0o100755, 0, 0, 9, "", ""),
    "a mode above all": ("/a", "other", 0o1000000, 0, 0, 9, "", ""),
    "a user below 0": ("/a", "file", 0o100755, -1, 0, 9, A, ""),
    "a group that is nobody's": ("/a", "file", 0o100755, 0, 2**32 - 1, 9, A, ""),
    "a size below 0": ("/a", "file", 0o100755, 0, 0, -9, A, ""),
    "a file without a digest": ("/a", "file", 0o100755, 0, 0, 9, "", ""),
    "a folder with a digest": ("/a", "dir", 0o40755, 0, 0, 9, A, ""),
    "half a digest": ("/a", "file", 0o100755, 0, 0, 9, A[:32], ""),
    "odd capabilities": ("/a", "file", 0o100755, 0, 0, 9, A, "0"),
    "a column less": ("/a", "file", 0o100755, 0, 0, 9, A),
    "a column more": ("/a", "file", 0o100755, 0, 0, 9, A, "", ""),
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG.keys())
def test_what_is_odd_is_refused(values: tuple[object, ...]) -> None:
    with pytest.raises(ParseError, match="expected"):
        read(codec.HEAD + line(*values))


@pytest.mark.parametrize("order", [("/a", "/a"), ("/b", "/a"), ("/a.b", "/a/b"), ("/a", "/")])
def test_files_come_once_and_in_order(order: tuple[str, str]) -> None:
    with pytest.raises(ParseError, match="order"):
        written([record(path) for path in order])


def test_a_path_that_is_not_utf8_cannot_be_signed() -> None:
    with pytest.raises(ParseError, match="UTF-8"):
        written([record("/a\udcff")])


def test_a_line_without_end_is_not_read_whole() -> None:
    with pytest.raises(ParseError, match="at most"):
        read(codec.HEAD + b"[" * 100_000 + b"\n")


@given(st.binary(max_size=200))
def test_any_bytes_after_the_head_give_records_or_an_error(tail: bytes) -> None:
    data = codec.HEAD + tail
    try:
        found = read(data)
    except ParseError:
        return
    assert written(found) == data


@given(st.lists(st.text("ab/.", min_size=1, max_size=6), max_size=6, unique=True))
def test_the_order_is_that_of_a_walk(names: list[str]) -> None:
    paths = ["/" + name for name in names if not {"", ".", ".."} & {*name.split("/")}]
    in_order = sorted(paths, key=lambda path: path.split("/"))
    digests = [hashlib.sha256(path.encode()).hexdigest() for path in in_order]
    records = [record(path, digest=one) for path, one in zip(in_order, digests, strict=True)]
    if records:
        assert read(written(records)) == records
