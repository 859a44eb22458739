from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import netlink, rtnetlink
from vedette.codec.rtnetlink import RTM_NEWADDR, parse_address
from vedette.errors import ParseError

FAR, NEAR, V6 = b"\x0a\0\0\2", b"\x0a\0\0\1", bytes(15) + b"\1"


def message(*parts: tuple[int, bytes], kind: int = RTM_NEWADDR) -> netlink.Message:
    payload = bytes(8) + b"".join(netlink.attribute(*part) for part in parts)
    return netlink.Message(kind, 2, 1, 0, payload)


ADDRESSES = {
    "IPv6 has one address": (message((1, V6)), V6),
    "a point-to-point link's own end": (message((1, FAR), (2, NEAR)), NEAR),
    "no address at all": (message((3, b"eth0\0")), None),
    "another kind of message": (message((1, V6), kind=netlink.NLMSG_DONE), None),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_answer_gives_this_hosts_address(case: str) -> None:
    answer, expected = ADDRESSES[case]
    assert parse_address(answer) == expected


@pytest.mark.parametrize("wrong", [message()._replace(payload=b"short"), message((1, b"12345"))])
def test_a_malformed_answer_is_refused(wrong: netlink.Message) -> None:
    with pytest.raises(ParseError):
        parse_address(wrong)


@given(st.binary(max_size=100))
def test_any_bytes_give_an_address_none_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_address(netlink.Message(RTM_NEWADDR, 0, 0, 0, data))


def test_the_request_asks_for_all() -> None:
    (asked,) = netlink.messages(rtnetlink.addresses_request(sequence=3))
    assert (asked.type, asked.flags, asked.sequence) == (22, netlink.NLM_F_REQUEST | 0x300, 3)
