from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.syslog import SyslogLine, parse_line
from vedette.errors import ParseError

LINES = {
    "rsyslog, traditional": (
        b"Nov  1 12:00:00 cam sshd[311]: Failed password for root from 192.0.2.1 port 4711 ssh2",
        SyslogLine("sshd", "Failed password for root from 192.0.2.1 port 4711 ssh2", 311),
    ),
    "rsyslog, RFC 3339": (
        b"2026-11-21T12:00:00.123456+00:00 cam sudo: pam_unix(sudo:auth): failure",
        SyslogLine("sudo", "pam_unix(sudo:auth): failure", 0),
    ),
    "BusyBox names the facility": (
        b"Nov 21 12:00:00 cam auth.info dropbear[7]: Bad password attempt",
        SyslogLine("dropbear", "Bad password attempt", 7),
    ),
    "a priority is left in": (b"<34>Oct 11 22:14:15 m su: x", SyslogLine("su", "x", 0)),
    "no host": (b"Nov 21 12:00:00 kernel: oops", SyslogLine("kernel", "oops", 0)),
    "an empty message": (b"Nov 21 12:00:00 h tag:", SyslogLine("tag", "", 0)),
    "no tag": (b"Nov 21 12:00:00 -- MARK --", SyslogLine("", "-- MARK --", 0)),
    "bytes outside UTF-8": (b"Nov 21 12:00:00 h t: \xff", SyslogLine("t", "\udcff", 0)),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_gives_service_message_and_pid(case: str) -> None:
    line, expected = LINES[case]
    assert parse_line(line) == expected


@pytest.mark.parametrize(
    "line", [b"", b"  a continued message", b"Foo 21 12:00:00 h t: x", b"Nov 21 12:00 h t: x"]
)
def test_a_line_without_a_time_stamp_is_refused(line: bytes) -> None:
    with pytest.raises(ParseError, match="time stamp"):
        parse_line(line)


@pytest.mark.parametrize("case", LINES)
def test_a_line_cut_anywhere_gives_a_value_or_a_parse_error(case: str) -> None:
    line = LINES[case][0]
    for size in range(len(line)):
        with contextlib.suppress(ParseError):
            parse_line(line[:size])


@given(st.binary(max_size=200))
def test_any_bytes_after_a_time_stamp_are_a_value(rest: bytes) -> None:
    assert isinstance(parse_line(b"Nov 21 12:00:00 " + rest), SyslogLine)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_parse_error(line: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_line(line)
