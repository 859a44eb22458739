from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import fuzz_netlink

from vedette.codec import netlink
from vedette.errors import ParseError

TWO = netlink.pack(16, 1, 7, b"abcde", 9) + netlink.pack(17, 2, 8, b"", 10)


def test_what_is_packed_comes_back_in_order() -> None:
    assert list(netlink.messages(TWO)) == [
        netlink.Message(16, 1, 7, 9, b"abcde"),
        netlink.Message(17, 2, 8, 10, b""),
    ]


def test_the_last_message_may_lack_its_padding() -> None:
    unpadded = struct.pack("=IHHII", 17, 3, 0, 0, 0) + b"x"
    assert [message.payload for message in netlink.messages(unpadded)] == [b"x"]


# The first message is 21 bytes and 3 of padding, of which none has to be there.
WHOLE_AT = {0: 0, 21: 1, 22: 1, 23: 1, 24: 1, len(TWO): 2}


@pytest.mark.parametrize("cut", range(len(TWO) + 1))
def test_a_datagram_cut_at_any_byte_gives_whole_messages_or_a_parse_error(cut: int) -> None:
    if cut in WHOLE_AT:
        assert len(list(netlink.messages(TWO[:cut]))) == WHOLE_AT[cut]
        return
    with pytest.raises(ParseError) as caught:
        list(netlink.messages(TWO[:cut]))
    assert caught.value.offset == (0 if cut < 21 else 24)


@pytest.mark.parametrize("length", [0, 15, 17, 2**32 - 1])
def test_a_length_outside_the_datagram_is_refused(length: int) -> None:
    with pytest.raises(ParseError, match=f"got {length}"):
        list(netlink.messages(struct.pack("=IHHII", length, 3, 0, 0, 0)))


def test_attributes_come_back_without_their_flag_bits_and_the_last_of_a_type_counts() -> None:
    inner = netlink.attribute(3, b"xyz")
    data = netlink.attribute(1 | netlink.NLA_F_NESTED, inner) + netlink.attribute(2, b"")
    again = data + netlink.attribute(2, b"later")
    assert netlink.attributes(data) == {1: inner, 2: b""}
    assert netlink.attributes(netlink.attributes(data)[1]) == {3: b"xyz"}
    assert netlink.attributes(again)[2] == b"later"
    assert [kind for kind, _ in netlink.attribute_list(again)] == [1, 2, 2]


ATTRIBUTES = netlink.attribute(1, b"abcde") + netlink.attribute(2, b"fghi")


@pytest.mark.parametrize("cut", range(len(ATTRIBUTES) + 1))
def test_attributes_cut_at_any_byte_give_whole_ones_or_a_parse_error(cut: int) -> None:
    whole = {0: {}, 9: {1: b"abcde"}, 10: {1: b"abcde"}, 11: {1: b"abcde"}, 12: {1: b"abcde"}}
    whole[len(ATTRIBUTES)] = {1: b"abcde", 2: b"fghi"}
    if cut in whole:
        assert netlink.attributes(ATTRIBUTES[:cut]) == whole[cut]
        return
    with pytest.raises(ParseError):
        netlink.attributes(ATTRIBUTES[:cut])


def test_bytes_after_the_last_attribute_are_refused_unless_they_are_padding() -> None:
    assert netlink.attributes(ATTRIBUTES + b"\0\0") == netlink.attributes(ATTRIBUTES)
    with pytest.raises(ParseError, match="got 2 bytes"):
        netlink.attributes(ATTRIBUTES + b"\0x")


def test_an_attribute_longer_than_its_length_field_is_refused() -> None:
    assert len(netlink.attribute(1, bytes(netlink.MAX_ATTRIBUTE_PAYLOAD))) == 0x10000
    with pytest.raises(ValueError, match="at most 65531 bytes, got 65532"):
        netlink.attribute(1, bytes(netlink.MAX_ATTRIBUTE_PAYLOAD + 1))


@pytest.mark.parametrize(("code", "number"), [(0, 0), (-1, 1), (-4095, 4095)])
def test_an_error_message_gives_its_errno(code: int, number: int) -> None:
    assert netlink.error_number(struct.pack("=i", code) + b"the request") == number


@pytest.mark.parametrize("payload", [b"", b"abc", struct.pack("=i", 1), struct.pack("=i", -4096)])
def test_an_error_message_without_an_errno_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        netlink.error_number(payload)


@given(st.binary(max_size=300))
def test_any_bytes_give_values_that_pack_back_or_a_parse_error(data: bytes) -> None:
    fuzz_netlink.target(data)
