"""Private keys encrypted with a password, as OpenSSL and cryptography read them.

PKCS#8 EncryptedPrivateKeyInfo (RFC 5958 section 3) by PBES2 (RFC 8018 section 6.2) with scrypt (RFC
7914 section 7) and AES-256-CBC: `openssl pkcs8 -topk8 -scrypt` writes the same. We do it ourselves
because `cryptography` would derive the key by 2,048 rounds of PBKDF2, which a graphics card tries
a million times a second.
"""

from __future__ import annotations

import base64
import hashlib
import os
import textwrap
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from vedette.cli._passwords import Passwords
from vedette.cli._signing import ENCRYPTED
from vedette.errors import RequestError, TrustError

# OWASP's figures for 16 MiB of memory; OpenSSL refuses to read what needs more than 32.
_SCRYPT_N = 1 << 14
_SCRYPT_R = 8
_SCRYPT_P = 5
_SCRYPT_MEMORY = 32 << 20
_SALT_BYTES = 16
_KEY_BYTES = 32
_BLOCK_BYTES = 16

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_OID_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_OID_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_OID_AES256_CBC = bytes.fromhex("060960864801650304012a")


def seal(pkcs8: bytes, password: str) -> bytes:
    """PEM of a private key that only the password opens.

    Args:
        pkcs8: DER of a PrivateKeyInfo.
        password: text; its UTF-8 bytes count, as OpenSSL has it.
    """
    salt, start = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    key = hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY,
        dklen=_KEY_BYTES,
    )
    padder = PKCS7(_BLOCK_BYTES * 8).padder()
    padded = padder.update(pkcs8) + padder.finalize()
    cipher = Cipher(algorithms.AES256(key), modes.CBC(start)).encryptor()
    encrypted = cipher.update(padded) + cipher.finalize()
    return _pem(_der(_SEQUENCE, _algorithm(salt, start) + _der(_OCTETS, encrypted)))


def unseal_ed25519(path: Path, pem: bytes, passwords: Passwords) -> bytearray:
    """The seed of an encrypted Ed25519 key; the caller wipes it.

    Args:
        path: of the file, for messages.
        pem: what is in it.
        passwords: has the one of the key.

    Raises:
        RequestError: the password is wrong, or there is none.
        TrustError: it is a key of another kind.
    """
    password = passwords.of(f"key {path.stem}")
    try:
        key = load_pem_private_key(pem, password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says may repeat what it read; its cause is left out too.
        raise RequestError(f"{path}: the password is wrong, or it is no PKCS#8 PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(f"{path}: expected an Ed25519 key: devices check content with it")
    return bytearray(key.private_bytes_raw())


def _algorithm(salt: bytes, start: bytes) -> bytes:
    numbers = b"".join(map(_integer, (_SCRYPT_N, _SCRYPT_R, _SCRYPT_P)))
    parameters = _der(_SEQUENCE, _der(_OCTETS, salt) + numbers)
    derivation = _der(_SEQUENCE, _OID_SCRYPT + parameters)
    encryption = _der(_SEQUENCE, _OID_AES256_CBC + _der(_OCTETS, start))
    return _der(_SEQUENCE, _OID_PBES2 + _der(_SEQUENCE, derivation + encryption))


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, content: bytes) -> bytes:
    """X.690 8.1: tag, length, content."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - the short form
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _pem(der: bytes) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return ENCRYPTED + f"\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode()
