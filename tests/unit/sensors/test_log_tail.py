from __future__ import annotations

import os
from pathlib import Path

from vedette.codec.syslog import MAX_LINE_BYTES
from vedette.sensors._log_tail import READ_BYTES, LogTail


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


def everything(tail: LogTail) -> list[bytes]:
    found: list[bytes] = []
    is_more = True
    while is_more:
        lines, is_more = tail.read()
        found += lines
    return found


def test_it_begins_at_the_end_and_gives_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, b"old\n")
    tail = LogTail(path)
    append(path, b"one\ntwo\nhal")
    assert everything(tail) == [b"one", b"two"]
    append(path, b"f\n")
    assert everything(tail) == [b"half"]
    tail.close()


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, b"old\n")
    tail = LogTail(path)
    append(path, b"last\nunfinished")
    path.rename(tmp_path / "log.1")
    append(path, b"first\n")
    assert everything(tail) == [b"last", b"unfinished", b"first"]
    tail.close()


def test_a_file_that_comes_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "log")
    assert everything(tail) == []
    append(tmp_path / "log", b"first\n")
    assert everything(tail) == [b"first"]
    tail.close()


def test_a_shortened_file_is_counted_and_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, b"a long line that was there\n")
    tail = LogTail(path)
    os.truncate(path, 0)
    append(path, b"new\n")
    assert everything(tail) == [b"new"]
    assert tail.truncations == 1
    tail.close()


def test_a_line_without_end_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    tail = LogTail(path)
    append(path, b"x" * (2 * READ_BYTES + 5))
    cut = everything(tail)
    append(path, b"rest\nnext\n")
    assert [len(line) for line in cut] == [MAX_LINE_BYTES]
    assert everything(tail) == [b"next"]
    assert tail.cut == 1
    assert len(tail._partial) == 0
    tail.close()


def test_a_file_that_is_away_for_a_moment_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    tail = LogTail(path)
    path.rename(tmp_path / "log.1")
    append(tmp_path / "log.1", b"late\n")
    assert everything(tail) == [b"late"]
    tail.close()
