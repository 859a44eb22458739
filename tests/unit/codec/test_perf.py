"""Bytes as perf lays them out, and bytes that it never would."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import perf
from vedette.codec.perf import Field, Sample, parse_format, parse_records, struct_of
from vedette.errors import ParseError

FORMAT = """\
name: inet_sock_set_state
ID: 1461
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;

print fmt: "family=%s", REC->family
"""


def sample(pid: int, at_ns: int, raw: bytes, kind: int = 9) -> bytes:
    body = struct.pack("=IIQI", pid, pid, at_ns, len(raw)) + raw
    return struct.pack("=IHH", kind, 0, 8 + len(body)) + body


def test_fields_stand_where_the_kernel_says() -> None:
    assert parse_format(FORMAT) == {
        "common_type": Field(0, 2),
        "common_pid": Field(4, 4),
        "skaddr": Field(8, 8),
        "saddr": Field(32, 4),
    }


@pytest.mark.parametrize("text", ["", "name: x\nID: 7\n", "x" * (perf.MAX_FORMAT_CHARS + 1)])
def test_what_describes_no_field_is_told(text: str) -> None:
    with pytest.raises(ParseError):
        parse_format(text)


def test_samples_come_with_what_was_lost_between_them() -> None:
    lost = struct.pack("=IHHQQ", 2, 0, 24, 7, 5)
    other = struct.pack("=IHHQ", 5, 0, 16, 0)
    data = sample(10, 1, b"abcd") + lost + other + sample(11, 2, b"efgh")
    assert parse_records(data) == ([Sample(10, 1, b"abcd"), Sample(11, 2, b"efgh")], 5)


def test_a_process_of_another_pid_namespace_has_no_number() -> None:
    assert parse_records(sample(0xFFFF_FFFF, 1, b""))[0] == [Sample(0, 1, b"")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x09",
        struct.pack("=IHH", 9, 0, 4),
        struct.pack("=IHH", 9, 0, 8),
        sample(1, 1, b"abcd")[:-1],
        struct.pack("=IHHIIQI", 9, 0, 28, 1, 1, 1, 5),
    ],
)
def test_a_wrong_length_is_told(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_records(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_samples_or_a_parse_error(data: bytes) -> None:
    try:
        samples, lost = parse_records(data)
    except ParseError:
        return
    assert lost >= 0
    assert sum(len(one.raw) for one in samples) <= len(data)


def test_fields_are_read_at_once_in_the_order_in_which_they_stand() -> None:
    fields = {"b": Field(6, 2), "a": Field(2, 4), "text": Field(8, 3)}
    reader, names = struct_of(fields, {"b": "unsigned", "text": "bytes", "a": "signed"})
    assert names == ["a", "b", "text"]
    assert reader.unpack(b"??" + struct.pack("=iH", -1, 7) + b"xyz") == (-1, 7, b"xyz")


@pytest.mark.parametrize(
    "fields",
    [{}, {"a": Field(0, 3)}, {"a": Field(0, 4), "b": Field(2, 4)}],
)
def test_a_tracepoint_that_cannot_be_read_is_told(fields: dict[str, Field]) -> None:
    with pytest.raises(ParseError):
        struct_of(fields, dict.fromkeys(fields, "unsigned") or {"a": "unsigned"})
