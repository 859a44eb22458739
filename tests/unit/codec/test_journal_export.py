from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.journal_export import (
    MAX_FIELD_BYTES,
    MAX_VALUE_BYTES,
    ExportParser,
    JournalLine,
)
from vedette.errors import ParseError


def binary(name: bytes, value: bytes) -> bytes:
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


ENTRY = (
    b"__CURSOR=s=1;i=2\n_BOOT_ID=b\nSYSLOG_IDENTIFIER=sshd\n_PID=4711\n"
    + binary(b"MESSAGE", b"two\nlines\x01")
    + b"_COMM=sshd-session\n\n"
)
LINE = JournalLine("sshd", "two\nlines\x01", 4711)


def test_an_entry_with_a_binary_message_is_read_whole() -> None:
    assert ExportParser().feed(ENTRY + ENTRY) == [LINE, LINE]


def test_an_entry_cut_anywhere_is_given_when_its_rest_comes() -> None:
    for cut in range(1, len(ENTRY)):
        parser = ExportParser()
        assert parser.feed(ENTRY[:cut]) == [], cut
        assert parser.feed(ENTRY[cut:]) == [LINE], cut


SERVICES = {
    "the sender's identifier first": (b"_COMM=c\nSYSLOG_IDENTIFIER=i\n_SYSTEMD_UNIT=u\n", "i", 0),
    "then the program": (b"_COMM=c\n_SYSTEMD_UNIT=u\nSYSLOG_PID=9\n", "c", 9),
    "then the unit": (b"_SYSTEMD_UNIT=u\n_PID=5\nSYSLOG_PID=9\n", "u", 5),
    "nothing known": (b"_PID=99999999\n", "", 0),
    "no number for a pid": (b"_PID=1x\n", "", 0),
}


@pytest.mark.parametrize("case", SERVICES)
def test_who_logged_it(case: str) -> None:
    fields, service, pid = SERVICES[case]
    assert ExportParser().feed(fields + b"MESSAGE=m\n\n") == [JournalLine(service, "m", pid)]


def test_an_entry_without_a_message_is_passed_over() -> None:
    assert ExportParser().feed(b"_PID=1\n\n\n" + ENTRY) == [LINE]


@pytest.mark.parametrize("form", ["text", "binary"])
def test_a_long_message_is_cut_and_the_next_entry_is_whole(form: str) -> None:
    value = b"x" * (3 * MAX_VALUE_BYTES)
    field = b"MESSAGE=" + value + b"\n" if form == "text" else binary(b"MESSAGE", value)
    parser = ExportParser()
    stream = field + b"\n" + ENTRY
    lines = []
    for at in range(0, len(stream), 1000):
        lines += parser.feed(stream[at : at + 1000])
        assert len(parser._buffer) <= MAX_VALUE_BYTES + 1100
    assert [len(line.message) for line in lines] == [MAX_VALUE_BYTES, len(LINE.message)]
    assert lines[1] == LINE


REFUSED = {
    "a length no journal has": b"MESSAGE\n" + (MAX_FIELD_BYTES + 1).to_bytes(8, "little"),
    "a name without end": b"x" * (2 * MAX_VALUE_BYTES),
    "a long name of a binary field": b"x" * 100 + b"\n" + bytes(8),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_format_is_refused_with_its_offset(case: str) -> None:
    parser = ExportParser()
    parser.feed(ENTRY)
    with pytest.raises(ParseError) as caught:
        parser.feed(REFUSED[case])
    assert caught.value.offset >= len(ENTRY)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_give_lines_or_a_parse_error(pieces: list[bytes]) -> None:
    parser = ExportParser()
    with contextlib.suppress(ParseError):
        for piece in pieces:
            parser.feed(piece)


@given(st.binary(max_size=100).filter(lambda value: b"\0" not in value), st.integers(1, 50))
def test_any_message_comes_back_whatever_the_pieces(value: bytes, size: int) -> None:
    stream = binary(b"MESSAGE", value) + b"\n"
    parser = ExportParser()
    lines = [
        line for at in range(0, len(stream), size) for line in parser.feed(stream[at : at + size])
    ]
    assert [line.message.encode("utf-8", "surrogateescape") for line in lines] == [value]
