from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec import registry
from vedette.codec.registry import Registered
from vedette.errors import ParseError

ONE = Registered("acme", "cam-1", bytes(32), "gate")
TWO = Registered("acme", "cam-2", bytes(31) + b"\x01", "")
BOTH = {("acme", "cam-1"): ONE, ("acme", "cam-2"): TWO}
FILE = registry.encode(BOTH)


def test_a_registry_is_read_back_and_holds_one_device_a_line() -> None:
    assert registry.parse(FILE) == BOTH
    assert registry.parse(registry.encode({})) == {}
    assert len(FILE.splitlines()) == 4


def test_a_cut_registry_is_refused_at_every_byte() -> None:
    assert taken_when_cut(registry.parse, FILE, range(len(FILE) - 1)) == []


HOSTILE = {
    "a device twice": FILE.replace(b"cam-2", b"cam-1"),
    "one key for two": FILE.replace(TWO.public_key.hex().encode(), ONE.public_key.hex().encode()),
    "a wildcard for a name": FILE.replace(b"cam-2", b"+"),
    "a key in capitals": FILE.replace(b"00000001", b"0000000A"),
    "a short key": FILE.replace(b"00000001", b""),
    "another version": FILE.replace(b'"version":1', b'"version":2'),
    "no list": b'{"devices":{},"version":1}',
    "a tail": FILE + b"{}",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_registry_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        registry.parse(data)


@given(st.binary(max_size=100), st.integers(0, len(FILE)))
def test_any_bytes_give_a_registry_or_a_parse_error(data: bytes, place: int) -> None:
    with contextlib.suppress(ParseError):
        registry.parse(FILE[:place] + data + FILE[place:])
