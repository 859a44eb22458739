from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import procnet
from vedette.codec.procnet import parse_table
from vedette.codec.sock_diag import SocketRecord
from vedette.errors import ParseError

HEADING = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
V4 = (
    b"   0: 0100007F:1F90 0A00020F:01BB 01 00000000:00000000 00:00000000 00000000  1000"
    b"        0 4242 1 0000000000000000 100 0 0 10 0\n"
)
V6 = (
    b"   1: B80D0120000000000000000001000000:0016 00000000000000000000000000000000:0000 0A "
    b"00000000:00000000 00:00000000 00000000     0        0 77 1 0000000000000000 100\n"
)
TABLE = HEADING + V4 + V6


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


RECORDS = [
    SocketRecord(2, 1, packed("127.0.0.1"), 8080, packed("15.2.0.10"), 443, 1000, 4242),
    SocketRecord(10, 10, packed("2001:db8::1"), 22, packed("::"), 0, 0, 77),
]


def test_a_table_gives_its_sockets() -> None:
    assert parse_table(TABLE, "little") == RECORDS


def test_a_big_endian_machine_prints_addresses_in_order() -> None:
    table = HEADING + V4.replace(b"0100007F", b"7F000001").replace(b"0A00020F", b"0F02000A")
    assert parse_table(table, "big") == RECORDS[:1]


@pytest.mark.parametrize("empty", [b"", HEADING, b"no line end"])
def test_a_table_without_sockets_is_empty(empty: bytes) -> None:
    assert parse_table(empty, "little") == []


WRONG = {
    "too few fields": b"   0: 0100007F:1F90 0A00020F:01BB 01\n",
    "an address of another length": V4.replace(b"0100007F", b"01007F"),
    "a port beyond 16 bits": V4.replace(b":1F90", b":11F90"),
    "no number for an inode": V4.replace(b"4242", b"four"),
    "no hexadecimal address": V4.replace(b"0100007F", b"0100007G"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_line_of_another_form_is_refused_with_its_offset(case: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_table(TABLE + WRONG[case], "little")
    assert caught.value.offset == len(TABLE)


def test_a_cut_table_gives_its_whole_lines_or_a_parse_error() -> None:
    for size in range(len(TABLE)):
        with contextlib.suppress(ParseError):
            assert len(parse_table(TABLE[:size], "little")) <= len(RECORDS), size


def test_a_table_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procnet, "MAX_SOCKETS", 3)
    assert len(parse_table(HEADING + V4 * 3, "little")) == 3
    with pytest.raises(ParseError, match="at most 3"):
        parse_table(HEADING + V4 * 4, "little")


@given(st.binary(max_size=300), st.sampled_from(["little", "big"]))
def test_any_bytes_give_sockets_or_a_parse_error(data: bytes, byte_order: str) -> None:
    with contextlib.suppress(ParseError):
        parse_table(data, byte_order)
    with contextlib.suppress(ParseError):
        parse_table(HEADING + data, byte_order)
