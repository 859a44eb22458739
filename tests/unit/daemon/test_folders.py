"""Folders of the agent's own: made private, mended, or refused when somebody else had a hand in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.daemon.folders import PASSAGE, Kept, hold, prepare
from vedette.errors import DeviceError


def test_a_missing_folder_is_made_private(tmp_path: Path) -> None:
    folder = prepare(str(tmp_path / "a" / "b"), "[paths] run")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_could_enter_is_closed_or_made_a_passage(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert prepare(str(tmp_path), "[paths] run").stat().st_mode & 0o777 == 0o700
    assert prepare(str(tmp_path), "[paths] run", mode=PASSAGE).stat().st_mode & 0o777 == 0o711


def test_a_link_or_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(DeviceError, match="expected a folder of uid"):
        prepare(str(tmp_path / "link"), "[paths] run")
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match=r"set \[paths\] run to a folder"):
        prepare(str(tmp_path / "file"), "[paths] run")


def test_a_folder_of_another_user_is_refused(as_root: None, tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(DeviceError, match=r"of uid 65534.*set \[paths\] state to another"):
        prepare(str(tmp_path), "[paths] state")


def test_a_folder_that_is_removed_or_replaced_is_told_once(tmp_path: Path) -> None:
    first, second, later = (tmp_path / name for name in ("first", "second", "later"))
    first.mkdir()
    second.mkdir()
    kept = Kept(first, second, later)
    assert kept.lost() == []
    later.mkdir()
    first.rmdir()
    second.rename(tmp_path / "aside")
    second.mkdir()
    assert kept.lost() == [first, second]
    assert kept.lost() == []
    later.rmdir()
    assert kept.lost() == [later]


def test_a_state_folder_that_cannot_be_held_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"lock: cannot be opened .*\[paths\] state"):
        hold(tmp_path / "nowhere")
