"""The keeper's report: whole, cut, damaged, and any bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.daemon import keeper_report
from vedette.daemon.keeper_report import PartState, parse
from vedette.errors import ParseError

REPORT = b"sentinel\t3\t0\twas ended by SIGKILL\nuplink\t7\t4\tended with exit code 2\n"


def test_a_whole_report() -> None:
    assert parse(REPORT) == (
        PartState("sentinel", 3, "was ended by SIGKILL", 0.0),
        PartState("uplink", 7, "ended with exit code 2", 4.0),
    )


def test_a_report_cut_anywhere_is_refused_or_has_whole_lines() -> None:
    first_line = REPORT.index(b"\n") + 1
    for end in range(len(REPORT)):
        if end == first_line:
            assert parse(REPORT[:end]) == parse(REPORT)[:1]
            continue
        with pytest.raises(ParseError):
            parse(REPORT[:end])


def test_a_tail_and_too_many_bytes_are_refused() -> None:
    for tail in (b"\n", b"x", b"\x00\n", b"sentinel\t-1\t0\t\n"):
        with pytest.raises(ParseError):
            parse(REPORT + tail)
    with pytest.raises(ParseError, match="at most"):
        parse(REPORT * 100)


@given(st.binary(max_size=300) | st.text(alphabet="az\t\n09 é").map(str.encode))
def test_any_bytes_give_a_report_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert all(isinstance(state, PartState) for state in parse(data))


def test_no_report_means_that_nothing_failed(tmp_path: Path) -> None:
    assert keeper_report.read(tmp_path) == ()


def test_each_restart_is_taken_once_also_by_the_next_process(tmp_path: Path) -> None:
    report = tmp_path / "keeper.tsv"
    report.write_bytes(REPORT)
    assert keeper_report.take_new(tmp_path) == parse(REPORT)
    assert keeper_report.take_new(tmp_path) == ()
    report.write_bytes(REPORT.replace(b"uplink\t7\t4", b"uplink\t9\t8"))
    assert keeper_report.take_new(tmp_path) == (
        PartState("uplink", 2, "ended with exit code 2", 8.0),
    )
    assert keeper_report.take_new(tmp_path) == ()


def test_what_was_taken_is_taken_again_when_the_note_about_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "keeper.tsv").write_bytes(REPORT)
    keeper_report.take_new(tmp_path)
    (tmp_path / "keeper.told").write_bytes(b"sentinel\t3")
    assert keeper_report.take_new(tmp_path) == parse(REPORT)


ENDS = {
    "in good order": ({"SERVICE_RESULT": "success", "EXIT_CODE": "exited"}, ""),
    "nobody says": ({}, ""),
    "killed": (
        {"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"},
        "was ended by SIGKILL",
    ),
    "an error": (
        {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "2"},
        "ended with exit code 2",
    ),
    "silent too long": (
        {"SERVICE_RESULT": "watchdog", "EXIT_CODE": "dumped", "EXIT_STATUS": "ABRT"},
        "hung and was ended by SIGABRT",
    ),
}


@pytest.mark.parametrize(("environment", "words"), ENDS.values(), ids=ENDS)
def test_what_systemd_says_of_an_end_is_told_as_the_keeper_would(
    environment: dict[str, str], words: str
) -> None:
    assert keeper_report.end_by_systemd(environment) == words


def test_ends_that_systemd_notes_are_counted_and_taken_once(tmp_path: Path) -> None:
    ended = tmp_path / keeper_report.ENDED
    ended.mkdir()
    for name in ("uplink", "sentinel", "uplink"):
        keeper_report.note_end(tmp_path, name, "was ended by SIGKILL")
    keeper_report.note_end(tmp_path, "uplink", "")
    found = {part.name: part.restarts for part in keeper_report.take_new(ended)}
    assert found == {"uplink": 2, "sentinel": 1}
    assert keeper_report.take_new(ended) == ()
    keeper_report.note_end(tmp_path, "uplink", "broke\n\tits lines \u00e9")
    (part,) = keeper_report.take_new(ended)
    assert (part.restarts, part.last_end) == (1, "broke??its lines ?")


def test_a_report_that_somebody_broke_does_not_hide_the_next_end(tmp_path: Path) -> None:
    ended = tmp_path / keeper_report.ENDED
    ended.mkdir()
    (ended / "keeper.tsv").write_bytes(b"nonsense")
    keeper_report.note_end(tmp_path, "sentinel", "ended with exit code 1")
    assert [part.name for part in keeper_report.read(ended)] == ["sentinel"]
