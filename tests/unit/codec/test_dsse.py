"""DSSE envelopes: the vectors of the specification, then everything that is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import dsse
from vedette.errors import ParseError

WHOLE = dsse.encode("http://example.com/HelloWorld", b"hello world", [("k1", b"\x01\xfe\xff")])


def test_pae_of_the_specification() -> None:
    # dsse/protocol.md, "Test Vectors"
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == expected


def test_pae_counts_bytes_not_characters() -> None:
    assert dsse.pae("é", b"") == "DSSEv1 2 é 0 ".encode()


@given(
    payload_type=st.text(st.characters(exclude_categories=["Cs"]), max_size=64),
    payload=st.binary(max_size=512),
    signatures=st.lists(
        st.tuples(st.text("0123456789abcdef", max_size=64), st.binary(min_size=1, max_size=64)),
        min_size=1,
        max_size=8,
        unique=True,
    ),
)
def test_what_is_encoded_is_decoded(
    payload_type: str, payload: bytes, signatures: list[tuple[str, bytes]]
) -> None:
    envelope = dsse.decode(dsse.encode(payload_type, payload, signatures))
    assert envelope == (payload_type, payload, tuple(signatures))


def test_a_payload_decoded_in_pieces_is_whole() -> None:
    payload = bytes(range(256)) * 3000
    assert dsse.decode(dsse.encode("t", payload, [("k", b"s")])).payload == payload


def test_padding_between_pieces_is_refused() -> None:
    one = "A" * (1 << 18)
    text = one[:-1] + "=" + one
    envelope = {"payload": text, "payloadType": "t", "signatures": [{"sig": "AQ=="}]}
    with pytest.raises(ParseError, match="padding in the middle"):
        dsse.decode(json.dumps(envelope).encode())


def test_url_safe_base64_unknown_names_and_a_missing_keyid_are_allowed() -> None:
    data = b'{"payload":"-_8=","payloadType":"t","extra":1,"signatures":[{"sig":"AQ==","x":[]}]}'
    assert dsse.decode(data) == ("t", b"\xfb\xff", ((("", b"\x01")),))


def test_the_same_signature_twice_counts_once() -> None:
    data = dsse.encode("t", b"", [("k", b"s"), ("k", b"s"), ("k", b"other")])
    assert dsse.decode(data).signatures == (("k", b"s"), ("k", b"other"))


def test_truncated_at_every_byte() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ParseError):
            dsse.decode(WHOLE[:size])


@pytest.mark.parametrize("tail", [b"x", b"{}", b"\x00", b"\xff"])
def test_a_tail_is_refused(tail: bytes) -> None:
    with pytest.raises(ParseError):
        dsse.decode(WHOLE + tail)


HOSTILE = {
    "not an object": b"[]",
    "no payload": b'{"payloadType":"t","signatures":[{"sig":"AQ=="}]}',
    "payload is null": b'{"payload":null,"payloadType":"t","signatures":[{"sig":"AQ=="}]}',
    "payload given twice": (
        b'{"payload":"","payload":"AQ==","payloadType":"t","signatures":[{"sig":"AQ=="}]}'
    ),
    "no type": b'{"payload":"","signatures":[{"sig":"AQ=="}]}',
    "type is half a character": (
        b'{"payload":"","payloadType":"\\ud800","signatures":[{"sig":"AQ=="}]}'
    ),
    "no signature": b'{"payload":"","payloadType":"t","signatures":[]}',
    "signature is text": b'{"payload":"","payloadType":"t","signatures":["AQ=="]}',
    "signature is empty": b'{"payload":"","payloadType":"t","signatures":[{"sig":""}]}',
    "base64 with a line feed": (
        b'{"payload":"AQ\\n==","payloadType":"t","signatures":[{"sig":"AQ=="}]}'
    ),
    "base64 without padding": b'{"payload":"AQ","payloadType":"t","signatures":[{"sig":"AQ=="}]}',
    "base64 that is not ASCII": (
        '{"payload":"ÄQ==","payloadType":"t","signatures":[{"sig":"AQ=="}]}'.encode()
    ),
    "keyid is a number": (
        b'{"payload":"","payloadType":"t","signatures":[{"sig":"AQ==","keyid":1}]}'
    ),
    "33 signatures": json.dumps(
        {
            "payload": "",
            "payloadType": "t",
            "signatures": [{"keyid": str(i), "sig": "AQ=="} for i in range(33)],
        }
    ).encode(),
    "a type of 257 characters": dsse.encode("t" * 257, b"", [("", b"s")]),
    "nested 100,000 deep": b"[" * 100_000,
    "nested deep after an unclosed string": b'"' + b'\\"' * 50_000,
    "a number of 5,000 digits": b"1" * 5000,
    "infinity": b'{"payload":Infinity}',
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        dsse.decode(data)


def test_an_envelope_over_the_limit_is_not_looked_at() -> None:
    with pytest.raises(ParseError, match="at most 8388608 bytes"):
        dsse.decode(bytes(dsse.MAX_ENVELOPE_BYTES + 1))


@given(st.binary(max_size=256))
def test_any_bytes_give_an_envelope_or_a_parse_error(data: bytes) -> None:
    try:
        dsse.decode(data)
    except ParseError:
        return


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_gives_an_envelope_or_a_parse_error(position: int, flip: int) -> None:
    data = bytearray(WHOLE)
    data[position] ^= flip
    try:
        dsse.decode(bytes(data))
    except ParseError:
        return
