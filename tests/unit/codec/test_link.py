from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import link
from vedette.errors import ParseError
from vedette.model.event import NameQueried, NameResolved
from vedette.model.message import Message, Outcome, SessionChanged

MESSAGE = Message(
    9, "b" * 32, "up/finding", "application/json", (("id", "x"), ("time", "y")), b"\x00body",
    bytes(64), retain=True, expiry_s=5,
)  # fmt: skip
CHANGE = SessionChanged(
    is_up=True, reason="connected", maximum_packet_bytes=2000, receive_maximum=20
)
FRAMES: dict[str, link.Frame] = {
    "open": link.Open("acme", "cam-7", MESSAGE, MESSAGE._replace(sequence=0)),
    "publish": link.Publish(3, MESSAGE),
    "open with groups": link.Open("acme", "cam-7", MESSAGE, MESSAGE, ("cameras", "site-3")),
    "leave": link.Leave(),
    "session": link.Session(3, CHANGE),
    "result": link.Result(3, Outcome(9, 0x87)),
    "hints": link.Hints((("a.example", 28),), (("a.example", "192.0.2.1", 60),), 2),
    "down": link.Down(b"\x00whatever", 3),
    "hearing": link.Hearing("the broker refuses"),
    "alive": link.Alive(),
}
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_read_back_as_it_was(frame: link.Frame) -> None:
    assert link.decode(link.encode(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_cut_frame_is_refused_at_every_byte(frame: link.Frame) -> None:
    data = link.encode(frame)
    for size in range(len(data)):
        with pytest.raises(ParseError):
            link.decode(data[:size])


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_a_tail_is_refused(frame: link.Frame) -> None:
    with pytest.raises(ParseError):
        link.decode(link.encode(frame) + b"\x00")


HOSTILE = {
    "an unknown kind": [9],
    "a kind that is no number": ["publish", 1, list(MESSAGE)],
    "true for a number": [4, True, [1, 0]],
    "a negative sequence": [4, 1, [-1, 0]],
    "a reason of two bytes": [4, 1, [1, 256]],
    "a window that is no Receive Maximum": [3, 1, [True, "", 0, 65536]],
    "a number for a flag": [3, 1, [1, "", 0, 0]],
    "text for bytes": [1, 1, [*list(MESSAGE)[:5], "body", b"", False, 0]],
    "bytes for text": [1, 1, [1, b"boot", *list(MESSAGE)[2:]]],
    "too many attributes": [1, 1, [1, "", "", "", [["a", "b"]] * 17, b"", b"", False, 0]],
    "an attribute of three": [1, 1, [1, "", "", "", [["a", "b", "c"]], b"", b"", False, 0]],
    "too many hints": [5, [["a", 1]] * 300, [], 0],
    "a name beyond all names": [5, [["a" * 2000, 1]], [], 0],
    "a reason longer than a line": [3, 1, [False, "x" * 5000, 0, 0]],
    "more handed down than a command can be": [6, bytes(link.MAX_DOWN_BYTES + 1), 0],
    "text handed down": [6, "text", 0],
    "a negative loss": [6, b"", -1],
    "too many groups": [0, "acme", "cam-7", list(MESSAGE), list(MESSAGE), ["g"] * 17],
    "a group that is a number": [0, "acme", "cam-7", list(MESSAGE), list(MESSAGE), [1]],
    "a map": {"kind": 1},
    "nothing": [],
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_frame_is_refused(value: object) -> None:
    with pytest.raises(ParseError):
        link.decode(msgpack.packb(value))


@given(st.binary(max_size=300) | JSONISH.map(msgpack.packb))
def test_any_bytes_give_a_frame_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        frame = link.decode(data)
        assert link.decode(link.encode(frame)) == frame


@given(st.sampled_from(list(FRAMES.values())), st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_gives_a_frame_or_a_parse_error(
    frame: link.Frame, place: int, value: int
) -> None:
    data = bytearray(link.encode(frame))
    data[place % len(data)] = value
    with contextlib.suppress(ParseError):
        link.decode(data)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ParseError):
        link.decode(b"\x91" * 60_000 + b"\x00")


def test_more_than_a_datagram_is_refused_both_ways() -> None:
    with pytest.raises(ValueError, match="at most"):
        link.encode(link.Publish(1, MESSAGE._replace(body=bytes(link.MAX_FRAME_BYTES))))
    with pytest.raises(ParseError, match="at most"):
        link.decode(bytes(link.MAX_FRAME_BYTES + 1))


def test_events_become_hints_without_their_times() -> None:
    events: list[NameQueried | NameResolved] = [
        NameQueried(1.0, "dns", "a", 1),
        NameResolved(2.0, "dns", "a", "192.0.2.1", 30),
    ]
    assert link.hints(events, 1) == link.Hints((("a", 1),), (("a", "192.0.2.1", 30),), 1)
