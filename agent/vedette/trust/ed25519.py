"""Ed25519 through the libcrypto that hashlib already loaded.

Rule 1: no import of ssl or cryptography: 13 and 8 MB that the sentinel does not have to spend.
Rule 2: every argument has its ctypes type; a pointer passed as int would be cut to 32 bits.
Rule 3: OpenSSL's queue of errors is emptied after a failure, since `ssl` would take what is left
there for its own.
Rule 4: a private key is never shown, copied or pickled, and is wiped by `close`.
"""

from __future__ import annotations

import _hashlib  # noqa: F401 - maps libcrypto into this process
import ctypes
import functools
import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TypeAlias

from vedette.errors import DeviceError

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64

_EVP_PKEY_ED25519 = 1087  # openssl/obj_mac.h, NID_ED25519

_MAPPED = re.compile(r" (/[^\n]*/(libcrypto\.so[^/\n]*?))(?: \(deleted\))?$", re.MULTILINE)
_SONAMES = ("libcrypto.so.3", "libcrypto.so.1.1")

Pointer: TypeAlias = ctypes.c_void_p


class Ed25519Signer:
    """A private key that signs (ports.signer.Signer).

    Args:
        seed: the 32 bytes of RFC 8032 5.1.5; the caller keeps and wipes its own copy.

    Raises:
        ValueError: the seed has another length.
        DeviceError: this machine has no libcrypto with Ed25519.
    """

    def __init__(self, seed: bytes | bytearray) -> None:
        self._key: int | None = None
        if len(seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, got {len(seed)}")
        lib = _libcrypto()
        copy = (ctypes.c_char * SEED_BYTES).from_buffer_copy(seed)
        try:
            self._key = lib.EVP_PKEY_new_raw_private_key(_EVP_PKEY_ED25519, None, copy, SEED_BYTES)
        finally:
            lib.OPENSSL_cleanse(copy, SEED_BYTES)
        if not self._key:
            raise _failed(lib, "EVP_PKEY_new_raw_private_key")
        self._free = weakref.finalize(self, lib.EVP_PKEY_free, self._key)
        self._public_key = _public_half(lib, self._key)

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """64 bytes of signature over the message; the same for the same message.

        Raises:
            ValueError: the key was closed.
        """
        if self._key is None:
            raise ValueError("expected an open key, got one that was closed")
        lib = _libcrypto()
        signature = ctypes.create_string_buffer(SIGNATURE_BYTES)
        length = ctypes.c_size_t(SIGNATURE_BYTES)
        context = lib.EVP_MD_CTX_new()
        try:
            if (
                lib.EVP_DigestSignInit(context, None, None, None, self._key) != 1
                or lib.EVP_DigestSign(
                    context, signature, ctypes.byref(length), message, len(message)
                )
                != 1
            ):
                raise _failed(lib, "EVP_DigestSign")
        finally:
            lib.EVP_MD_CTX_free(context)
        return signature.raw

    def close(self) -> None:
        """Wipe and free the private half (EVP_PKEY_free does both). Safe to call twice.

        It also happens when the object is forgotten and when the process ends in good order.
        """
        self._free()
        self._key = None

    def __repr__(self) -> str:
        return f"Ed25519Signer(public_key={self._public_key.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not copied or pickled")


class Ed25519Verifier:
    """Checks signatures (ports.signer.Verifier).

    Raises:
        DeviceError: this machine has no libcrypto with Ed25519.
    """

    def __init__(self) -> None:
        self._lib = _libcrypto()

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Whether the signature is the key's over exactly this message; never raises."""
        if len(public_key) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        lib = self._lib
        key = lib.EVP_PKEY_new_raw_public_key(_EVP_PKEY_ED25519, None, public_key, PUBLIC_BYTES)
        context = lib.EVP_MD_CTX_new()
        try:
            is_good = (
                bool(key and context)
                and lib.EVP_DigestVerifyInit(context, None, None, None, key) == 1
                and lib.EVP_DigestVerify(context, signature, SIGNATURE_BYTES, message, len(message))
                == 1
            )
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_free(key)
        if not is_good:
            lib.ERR_clear_error()
        return is_good


def _public_half(lib: ctypes.CDLL, key: int) -> bytes:
    raw = ctypes.create_string_buffer(PUBLIC_BYTES)
    length = ctypes.c_size_t(PUBLIC_BYTES)
    if lib.EVP_PKEY_get_raw_public_key(key, raw, ctypes.byref(length)) != 1:
        raise _failed(lib, "EVP_PKEY_get_raw_public_key")
    return raw.raw


def _failed(lib: ctypes.CDLL, function: str) -> DeviceError:
    text = ctypes.create_string_buffer(256)
    lib.ERR_error_string_n(lib.ERR_get_error(), text, len(text))
    lib.ERR_clear_error()
    return DeviceError(f"libcrypto: {function} failed: {text.value.decode('ascii', 'replace')}")


@functools.cache
def _libcrypto() -> ctypes.CDLL:
    """The library with the types of what is called, taken from openssl/evp.h."""
    for name in _candidates():
        try:
            return _typed(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    raise DeviceError(
        "expected libcrypto of OpenSSL 1.1.1 or later, found none: install it "
        "(Debian: apt-get install libssl3)"
    )


def _candidates() -> Iterator[str]:
    """What is mapped already comes first: it costs no memory.

    After an upgrade of the package the mapped file is deleted; by its soname the loader still
    finds the copy in memory.
    """
    maps = Path("/proc/self/maps")
    text = maps.read_text("utf-8", "surrogateescape") if maps.exists() else ""
    for path, soname in dict.fromkeys(_MAPPED.findall(text)):
        yield soname
        yield path
    yield from _SONAMES
    from ctypes.util import find_library  # noqa: PLC0415 (0.5 MB: tempfile, shutil and more)

    found = find_library("crypto")
    if found:
        yield found


def _typed(lib: ctypes.CDLL) -> ctypes.CDLL:
    size = ctypes.c_size_t
    size_pointer = ctypes.POINTER(size)
    text = ctypes.c_char_p
    number = ctypes.c_int
    for name, result, arguments in (
        ("EVP_PKEY_new_raw_private_key", Pointer, (number, Pointer, text, size)),
        ("EVP_PKEY_new_raw_public_key", Pointer, (number, Pointer, text, size)),
        ("EVP_PKEY_get_raw_public_key", number, (Pointer, text, size_pointer)),
        ("EVP_PKEY_free", None, (Pointer,)),
        ("EVP_MD_CTX_new", Pointer, ()),
        ("EVP_MD_CTX_free", None, (Pointer,)),
        ("EVP_DigestSignInit", number, (Pointer, Pointer, Pointer, Pointer, Pointer)),
        ("EVP_DigestSign", number, (Pointer, text, size_pointer, text, size)),
        ("EVP_DigestVerifyInit", number, (Pointer, Pointer, Pointer, Pointer, Pointer)),
        ("EVP_DigestVerify", number, (Pointer, text, size, text, size)),
        ("OPENSSL_cleanse", None, (Pointer, size)),
        ("ERR_get_error", ctypes.c_ulong, ()),
        ("ERR_error_string_n", None, (ctypes.c_ulong, text, size)),
        ("ERR_clear_error", None, ()),
    ):
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    return lib
