"""Small durable values: a crash at any step leaves the old or the new ones, never others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vedette.errors import StoreError
from vedette.store.state import COPIES, FileState

STEPS = ("open", "write", "fsync", "rename")


class Crash(BaseException):
    """The power is cut here."""


@contextmanager
def failing_at(step: int, failure: BaseException) -> Iterator[list[str]]:
    """Let the first `step` disk calls pass and every later one fail."""
    seen: list[str] = []
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in STEPS}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(seen) >= step:
                raise failure
            seen.append(name)
            return real[name](*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, wrapped(name))
        yield seen


def steps_of_an_update(folder: Path) -> int:
    state = FileState(folder)
    with failing_at(1000, Crash()) as seen:
        state.update({"x": 1})
    assert seen.count("fsync") == 4
    assert seen.count("rename") == 2
    return len(seen)


def test_values_survive_and_keep_their_types(tmp_path: Path) -> None:
    state = FileState(tmp_path)
    assert state.is_new
    assert (state.number("n"), state.text("t"), state.texts("l")) == (0, "", ())
    state.update({"n": 7, "t": "seven", "l": ("a", "b")})
    again = FileState(tmp_path)
    assert (again.number("n"), again.text("t"), again.texts("l")) == (7, "seven", ("a", "b"))
    assert not again.is_new
    assert again.problems == []
    assert (tmp_path / COPIES[0]).read_bytes() == (tmp_path / COPIES[1]).read_bytes()
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / COPIES[0]).stat().st_mode & 0o777 == 0o600


def test_a_crash_at_any_step_leaves_old_or_new_and_both_values_belong_together(
    tmp_path: Path,
) -> None:
    total = steps_of_an_update(tmp_path / "count")
    outcomes = []
    for step in range(total + 1):
        folder = tmp_path / str(step)
        state = FileState(folder)
        state.update({"floor": 1, "digest": "old"})
        with failing_at(step, Crash()):
            try:
                state.update({"floor": 2, "digest": "new"})
                is_acknowledged = True
            except Crash:
                is_acknowledged = False
        again = FileState(folder)
        found = (again.number("floor"), again.text("digest"))
        assert found in {(1, "old"), (2, "new")}
        assert not is_acknowledged or found == (2, "new")
        outcomes.append(found)
    assert outcomes[0] == (1, "old")
    assert outcomes[-1] == (2, "new")
    assert outcomes == sorted(outcomes)


def test_a_disk_that_fails_at_any_step_raises_or_keeps_the_update(tmp_path: Path) -> None:
    total = steps_of_an_update(tmp_path / "count")
    refused = 0
    for step in range(total):
        folder = tmp_path / str(step)
        state = FileState(folder)
        state.update({"floor": 1})
        with failing_at(step, OSError(28, "No space left on device")):
            try:
                state.update({"floor": 2})
            except StoreError as error:
                assert "No space left" in str(error)  # noqa: PT017 - both ways are checked
                assert state.number("floor") == 1
                refused += 1
            else:
                assert state.number("floor") == 2
        state.update({"floor": 3})
        assert FileState(folder).number("floor") == 3
    assert refused


@pytest.mark.parametrize("damaged", COPIES)
@pytest.mark.parametrize("damage", [b"", b"\x00" * 200, b"{}", None])
def test_one_damaged_copy_is_mended_and_named(
    tmp_path: Path, damaged: str, damage: bytes | None
) -> None:
    FileState(tmp_path).update({"floor": 9})
    path = tmp_path / damaged
    whole = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    again = FileState(tmp_path)
    assert again.number("floor") == 9
    assert len(again.problems) == 1
    assert path.read_bytes() == whole
    assert FileState(tmp_path).problems == []


def test_a_copy_torn_at_any_byte_never_counts(tmp_path: Path) -> None:
    FileState(tmp_path).update({"floor": 9})
    whole = (tmp_path / COPIES[1]).read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / COPIES[0]).write_bytes(whole[:size])
        assert FileState(tmp_path).number("floor") == 9


def test_an_older_copy_loses(tmp_path: Path) -> None:
    state = FileState(tmp_path)
    state.update({"floor": 1})
    old = (tmp_path / COPIES[0]).read_bytes()
    state.update({"floor": 2})
    (tmp_path / COPIES[0]).write_bytes(old)
    assert FileState(tmp_path).number("floor") == 2
    assert FileState(tmp_path).number("floor") == 2


def test_two_damaged_copies_are_not_a_first_start(tmp_path: Path) -> None:
    FileState(tmp_path).update({"floor": 9})
    for name in COPIES:
        (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(StoreError, match=r"move state\.a and state\.b away"):
        FileState(tmp_path)


def test_one_damaged_copy_without_another_is_not_a_first_start(tmp_path: Path) -> None:
    (tmp_path / COPIES[0]).write_bytes(b"garbage")
    with pytest.raises(StoreError):
        FileState(tmp_path)


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    state = FileState(tmp_path)
    state.update({"floor": 9})
    with failing_at(0, Crash()) as seen:
        state.update({"floor": 9})
    assert seen == []


def test_a_name_keeps_its_type(tmp_path: Path) -> None:
    state = FileState(tmp_path)
    state.update({"floor": 9})
    with pytest.raises(TypeError, match="expected floor to be text"):
        state.text("floor")


def test_a_read_only_disk_is_read_and_refuses_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FileState(tmp_path).update({"floor": 9})

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "chmod", "rename"):
        monkeypatch.setattr(os, name, refuse)
    state = FileState(tmp_path / "none")
    assert (state.is_new, state.number("floor"), len(state.problems)) == (True, 0, 1)
    with pytest.raises(StoreError, match="none"):
        state.update({"floor": 1})
    again = FileState(tmp_path)
    assert again.number("floor") == 9
    with pytest.raises(StoreError, match="Read-only"):
        again.update({"floor": 10})
    assert again.number("floor") == 9
