"""Ed25519 keys in PEM, as RFC 8410 and `openssl genpkey -algorithm ed25519` write them.

Rule 1: no error of this module repeats a byte of its input: it may be a private key.
Rule 2: one encoding per key: PKCS#8 version 1 without attributes, SPKI, nothing around them.
"""

from __future__ import annotations

import binascii

from vedette.errors import ParseError

KEY_BYTES = 32
MAX_FILE_BYTES = 4096

_PRIVATE = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410 section 7
_PUBLIC = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 section 4


def encode_private(seed: bytes | bytearray) -> bytes:
    """PKCS#8 PEM of a private key (RFC 8032 5.1.5: 32 random bytes), not encrypted."""
    return _pem("PRIVATE KEY", _PRIVATE + _whole(seed))


def encode_public(public_key: bytes) -> bytes:
    """SPKI PEM of a raw public key (32 bytes)."""
    return _pem("PUBLIC KEY", _PUBLIC + _whole(public_key))


def decode_private(data: bytes) -> bytearray:
    """Read a private key; the result can be wiped after use.

    Raises:
        ParseError: it is not an unencrypted Ed25519 key in PKCS#8 PEM.
    """
    return bytearray(_key("PRIVATE KEY", _PRIVATE, data))


def decode_public(data: bytes) -> bytes:
    """Read a public key: SPKI PEM, or its 32 raw bytes.

    Raises:
        ParseError: it is neither.
    """
    if len(data) == KEY_BYTES:
        return data
    return _key("PUBLIC KEY", _PUBLIC, data)


def _key(label: str, prefix: bytes, data: bytes) -> bytes:
    der = _unpem(label, data)
    if len(der) != len(prefix) + KEY_BYTES or not der.startswith(prefix):
        raise ParseError(f"expected an Ed25519 key in {label}, got another kind or version")
    return der[len(prefix) :]


def _whole(key: bytes | bytearray) -> bytes:
    if len(key) != KEY_BYTES:
        raise ParseError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}")
    return bytes(key)


def _pem(label: str, der: bytes) -> bytes:
    name = label.encode()
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (
        name,
        binascii.b2a_base64(der, newline=False),
        name,
    )


def _unpem(label: str, data: bytes) -> bytes:
    """RFC 7468 section 3, strict, but for the white space that editors leave."""
    if len(data) > MAX_FILE_BYTES:
        raise ParseError(f"expected at most {MAX_FILE_BYTES} bytes of PEM, got {len(data)}")
    lines = [line.strip() for line in data.strip().splitlines()]
    begin, end = f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode()
    if len(lines) < 3 or lines[0] != begin or lines[-1] != end:  # noqa: PLR2004 - and a body
        raise ParseError(f"expected PEM that begins with {begin.decode()}")
    try:
        return binascii.a2b_base64(b"".join(lines[1:-1]), strict_mode=True)
    except binascii.Error as error:
        raise ParseError(f"expected base64 between the lines of {label}") from error
