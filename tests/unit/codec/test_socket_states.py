"""The tracepoint's fields as 64-bit and 32-bit kernels lay them out."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from vedette.codec.perf import Field, parse_format
from vedette.codec.socket_states import StateChange, StateReader
from vedette.errors import ParseError

SIZES = (
    ("oldstate", 4), ("newstate", 4), ("sport", 2), ("dport", 2), ("family", 2), ("protocol", 2),
    ("saddr", 4), ("daddr", 4), ("saddr_v6", 16), ("daddr_v6", 16),
)  # fmt: skip


def described(word_bytes: int) -> str:
    """As the file `format` has it (Linux 6.1)."""
    lines, at = [f"\tfield:const void * skaddr;\toffset:8;\tsize:{word_bytes};\tsigned:0;"], 8
    at += word_bytes
    for name, size in SIZES:
        array = f"[{size}]" if "addr" in name else ""
        lines.append(f"\tfield:__u{size} {name}{array};\toffset:{at};\tsize:{size};\tsigned:0;")
        at += size
    return "\n".join(lines) + "\n"


def raw(word_bytes: int, family: int, local: str, remote: str) -> bytes:
    ends = [ipaddress.ip_address(end).packed for end in (local, remote)]
    plain = [end if len(end) == 4 else bytes(4) for end in ends]
    wide = [end if len(end) == 16 else bytes(10) + b"\xff\xff" + end for end in ends]
    socket = struct.pack("=Q" if word_bytes == 8 else "=I", 0xC0DE)
    return bytes(8) + socket + struct.pack(
        "=iiHHHH4s4s16s16s", 2, 7, 40_000, 23, family, 6, *plain, *wide
    )  # fmt: skip


@pytest.mark.parametrize("word_bytes", [4, 8])
@pytest.mark.parametrize(
    ("family", "local", "remote"),
    [(2, "192.0.2.1", "198.51.100.7"), (10, "2001:db8::1", "2001:db8::7")],
)
def test_a_change_is_read(word_bytes: int, family: int, local: str, remote: str) -> None:
    reader = StateReader(parse_format(described(word_bytes)))
    assert reader.read(raw(word_bytes, family, local, remote)) == StateChange(
        0xC0DE, 2, 7, ipaddress.ip_address(local).packed, 40_000,
        ipaddress.ip_address(remote).packed, 23,
    )  # fmt: skip


def test_ipv4_within_ipv6_is_told_as_ipv4() -> None:
    reader = StateReader(parse_format(described(8)))
    change = reader.read(raw(8, 10, "::ffff:192.0.2.1", "::ffff:198.51.100.7"))
    assert (change.local, change.remote) == (b"\xc0\x00\x02\x01", b"\xc6\x33\x64\x07")


def test_another_tracepoint_and_a_short_change_are_told() -> None:
    with pytest.raises(ParseError, match="skaddr"):
        StateReader({"oldstate": Field(0, 4)})
    reader = StateReader(parse_format(described(8)))
    with pytest.raises(ParseError, match="bytes of a change"):
        reader.read(raw(8, 2, "192.0.2.1", "198.51.100.7")[:-1])
