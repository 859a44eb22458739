"""Where the firmware's name comes from."""

from __future__ import annotations

from pathlib import Path

from vedette.daemon.firmware import firmware


def test_what_is_configured_wins_then_the_first_file_there_is(tmp_path: Path) -> None:
    first, second = tmp_path / "etc", tmp_path / "usr"
    assert firmware("cam-os 2", (first, second)) == "cam-os 2"
    assert firmware("", (first, second)) == ""
    second.write_text("ID=debian\nVERSION_ID=12\n")
    assert firmware("", (first, second)) == "debian 12"
    first.write_bytes(b"ID=cam\xff\nVERSION_ID=1\n")
    assert firmware("", (first, second)) == "cam\ufffd 1"


def test_what_cannot_be_read_is_no_firmware(tmp_path: Path) -> None:
    assert firmware("", (tmp_path,)) == ""
