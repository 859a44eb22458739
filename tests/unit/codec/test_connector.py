from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec import connector, netlink
from vedette.errors import ParseError

BODY = struct.pack("=IIIIHHIIQII", 1, 1, 77, 0, 40, 0, 2, 3, 123456789, 43, 42)
EVENT = netlink.pack(3, 0, 77, BODY)


def test_an_event_is_read() -> None:
    expected = connector.ProcEvent(connector.PROC_EVENT_EXEC, 3, 77, 123456789, 43, 42)
    assert connector.parse_event(EVENT) == expected
    assert connector.parse_event(EVENT + b"tail") == expected


def test_an_event_cut_anywhere_is_refused() -> None:
    assert taken_when_cut(connector.parse_event, EVENT, range(len(EVENT))) == []


def test_another_connector_is_refused() -> None:
    other = netlink.pack(3, 0, 0, b"\x02" + BODY[1:])
    with pytest.raises(ParseError, match=r"got 2\.1"):
        connector.parse_event(other)


def test_the_request_has_the_form_of_its_kernel() -> None:
    (old,) = netlink.messages(connector.listen(9, None))
    (new,) = netlink.messages(connector.listen(9, connector.PROC_EVENT_EXEC))
    assert old == (3, 0, 0, 9, struct.pack("=IIIIHHI", 1, 1, 0, 0, 4, 0, 1))
    assert new.payload == struct.pack("=IIIIHHII", 1, 1, 0, 0, 8, 0, 1, 2)


@given(st.binary(max_size=120))
def test_any_bytes_give_an_event_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        connector.parse_event(data)
