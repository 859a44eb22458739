"""Keys in PEM: one form is read, everything else is refused without being shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import key_pem
from vedette.errors import ParseError

# RFC 8410 section 10.1 and 10.3
RFC_PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
RFC_PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""
RFC_SEED = bytes.fromhex("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842")
RFC_RAW = bytes.fromhex("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")


def test_rfc_8410_examples() -> None:
    assert key_pem.decode_private(RFC_PRIVATE) == RFC_SEED
    assert key_pem.decode_public(RFC_PUBLIC) == RFC_RAW
    assert key_pem.encode_private(RFC_SEED) == RFC_PRIVATE
    assert key_pem.encode_public(RFC_RAW) == RFC_PUBLIC


def test_lines_that_end_in_carriage_returns_are_read() -> None:
    assert key_pem.decode_private(RFC_PRIVATE.replace(b"\n", b"\r\n")) == RFC_SEED


def test_truncated_at_every_byte() -> None:
    for size in range(len(RFC_PRIVATE) - 1):
        with pytest.raises(ParseError):
            key_pem.decode_private(RFC_PRIVATE[:size])


HOSTILE = {
    "a tail": RFC_PRIVATE + b"x",
    "two keys": RFC_PRIVATE + RFC_PRIVATE,
    "a public key": RFC_PUBLIC,
    "version 2 of PKCS#8": RFC_PRIVATE.replace(b"MC4CAQAw", b"MC4CAQEw"),
    "not base64": RFC_PRIVATE.replace(b"MC4C", b"MC4?"),
    "5 KB of white space": RFC_PRIVATE + b" " * 5000,
    "raw bytes": bytes(32),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_private_key_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        key_pem.decode_private(data)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_another_length_are_not_written(size: int) -> None:
    with pytest.raises(ParseError, match=f"got {size}"):
        key_pem.encode_public(bytes(size))


@given(st.binary(max_size=256))
def test_any_bytes_give_a_key_or_a_parse_error(data: bytes) -> None:
    for decode in (key_pem.decode_private, key_pem.decode_public):
        try:
            assert len(decode(data)) == 32
        except ParseError:
            continue
