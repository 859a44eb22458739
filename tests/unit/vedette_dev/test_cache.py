"""What is dear to make is made once, is whole or not there, and does not grow for ever."""

import os
from pathlib import Path

import pytest

from vedette_dev.cache import VARIABLE, cached


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def _fill(folder: Path) -> None:
    (folder / "content").write_text("whole")


def test_the_same_inputs_are_made_once() -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        _fill(folder)

    first, again = cached("thing", b"1", make), cached("thing", b"1", make)
    assert first == again
    assert len(made) == 1
    assert (first / "content").read_text() == "whole"
    assert cached("thing", b"2", make) != first


def test_what_fails_leaves_nothing(folder: Path) -> None:
    def fail(folder: Path) -> None:
        _fill(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached("thing", b"1", fail)
    assert [path for path in folder.iterdir() if path.is_dir()] == []


def test_those_used_last_are_kept(folder: Path) -> None:
    made = [cached("thing", bytes([number]), _fill) for number in range(4)]
    other = cached("thing-else", b"1", _fill)
    for age, path in enumerate(made):
        os.utime(path, (1000 - age, 1000 - age))
    cached("thing", b"\2", _fill, kept=2)
    assert [path.exists() for path in made] == [True, False, True, False]
    assert other.exists()
