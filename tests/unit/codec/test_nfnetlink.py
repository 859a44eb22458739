from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import netlink, nfnetlink
from vedette.codec.nfnetlink import NFNL_SUBSYS_NFTABLES, Request
from vedette.errors import ParseError

REQUESTS = (
    Request(0, netlink.NLM_F_CREATE, netlink.attribute(1, b"first")),
    Request(3, 0, netlink.attribute(1, b"second"), family=nfnetlink.NFPROTO_UNSPEC),
)


def test_a_batch_has_its_requests_between_its_ends_all_with_one_sequence() -> None:
    data, awaited = nfnetlink.batch(NFNL_SUBSYS_NFTABLES, REQUESTS, sequence=4)
    begin, first, second, end = netlink.messages(data)
    assert [m.type for m in (begin, first, second, end)] == [16, 0xA00, 0xA03, 17]
    assert {m.sequence for m in (begin, first, second, end)} == {4}
    assert begin.payload == end.payload == b"\0\0\0\x0a"
    assert first.flags == netlink.NLM_F_REQUEST | netlink.NLM_F_ACK | netlink.NLM_F_CREATE
    assert first.payload == b"\1\0\0\0" + REQUESTS[0].attributes
    assert second.payload == bytes(4) + REQUESTS[1].attributes
    assert awaited == 2


def test_a_trial_lacks_the_end_that_would_carry_it_out() -> None:
    trial = nfnetlink.batch(NFNL_SUBSYS_NFTABLES, REQUESTS, sequence=4, is_trial=True)
    whole = nfnetlink.batch(NFNL_SUBSYS_NFTABLES, REQUESTS, sequence=4)
    assert trial.acknowledgements == whole.acknowledgements
    assert whole.data.startswith(trial.data)
    assert 17 not in [m.type for m in netlink.messages(trial.data)]


def test_a_question_asks_for_no_acknowledgement() -> None:
    (message,) = netlink.messages(
        nfnetlink.message(NFNL_SUBSYS_NFTABLES, Request(1, netlink.NLM_F_DUMP, b""), sequence=9)
    )
    assert (message.type, message.sequence) == (0xA01, 9)
    assert message.flags == netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP


def test_attributes_stand_behind_the_header() -> None:
    whole = b"\2\0\0\0" + netlink.attribute(1, b"value")
    assert nfnetlink.attributes(whole) == {1: b"value"}
    for size in range(4):
        with pytest.raises(ParseError):
            nfnetlink.attributes(whole[:size])


@given(st.binary(max_size=60))
def test_any_bytes_give_attributes_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        nfnetlink.attributes(data)
