"""A console is read from the device's last start on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vedette_dev.guests.console import Console


@pytest.fixture
def console(tmp_path: Path) -> Console:
    made = Console(tmp_path / "console.log")
    made.clear()
    return made


def say(console: Console, text: bytes) -> None:
    with console.path.open("ab") as stream:
        stream.write(text)


def test_what_an_earlier_start_said_is_kept_and_not_read(console: Console) -> None:
    say(console, b"vedette: starting slot a\n")
    console.begin()
    say(console, b"vedette: starting slot b\n")
    assert console.said() == "vedette: starting slot b\n"
    assert console.line(re.compile("starting slot")) == "vedette: starting slot b"
    assert console.size_bytes == 2 * len(b"vedette: starting slot b\n")


def test_a_line_that_nobody_said_is_not_found(console: Console) -> None:
    assert console.line(re.compile("starting slot")) is None
    assert console.tail() == "    (nothing)"


def test_its_tail_is_the_last_lines_and_moves_no_cursor(console: Console) -> None:
    say(console, b"".join(b"line %d\n" % number for number in range(40)) + b"\x1b[2J\n")
    lines = console.tail().splitlines()
    assert (len(lines), lines[0]) == (15, "    line 26")
    assert "\x1b" not in lines[-1]


def test_a_guest_that_is_entered_anew_has_said_nothing(console: Console) -> None:
    say(console, b"before\n")
    console.begin()
    console.clear()
    say(console, b"now\n")
    assert console.said() == "now\n"
