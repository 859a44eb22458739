"""Key files: private ones that only their owner can read, public ones in PEM or raw.

Rule 1: a private key that others could have read is refused, whatever it holds.
Rule 2: a key file is never overwritten, and under its name it is whole: a power cut while it is
made leaves none.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from vedette.codec import key_pem, trust_document
from vedette.errors import ParseError, StoreError, TrustError
from vedette.trust.ed25519 import SEED_BYTES, Ed25519Signer

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a fifo must not hold us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def key_id(public_key: bytes) -> str:
    """The name of a key: SHA-256 of its 32 raw bytes in hex."""
    return trust_document.key_id(public_key)


def short_key_id(public_key: bytes) -> str:
    """The first 16 digits of `key_id`, for people."""
    return key_id(public_key)[:16]


def load_signer(path: Path) -> Ed25519Signer:
    """Read a private key (PKCS#8 PEM, not encrypted).

    Raises:
        TrustError: others than its owner may read or write it, the owner is neither root nor us,
            or it holds no Ed25519 key. The message names the file, never its content.
    """
    data = _read(path, is_private=True)
    try:
        seed = key_pem.decode_private(data)
    except ParseError as error:
        raise TrustError(
            f"{path}: {error}; make one with `openssl genpkey -algorithm ed25519`"
        ) from error
    try:
        return Ed25519Signer(seed)
    finally:
        seed[:] = bytes(len(seed))


def read_private(path: Path) -> bytes:
    """What a private key's file holds, encrypted or not; one byte beyond its limit at most.

    Raises:
        TrustError: as `load_signer`, but for what is in it.
    """
    return _read(path, is_private=True)


def create_signer(path: Path) -> Ed25519Signer:
    """Make a new key from the kernel's random numbers and keep it, durably, with mode 0600.

    Raises:
        TrustError: the file exists already.
        StoreError: the disk did not take it.
    """
    seed = bytearray(os.urandom(SEED_BYTES))
    try:
        _write_new(path, key_pem.encode_private(seed), 0o600)
        return Ed25519Signer(seed)
    finally:
        seed[:] = bytes(len(seed))


def load_public(path: Path) -> bytes:
    """Read a public key (SPKI PEM or 32 raw bytes); returns the raw bytes.

    Raises:
        TrustError: it cannot be read or holds no Ed25519 key.
    """
    try:
        return key_pem.decode_public(_read(path, is_private=False))
    except ParseError as error:
        raise TrustError(f"{path}: {error}") from error


def save_public(path: Path, public_key: bytes) -> None:
    """Write a public key in PEM for all to read.

    Raises:
        TrustError: the file exists already.
        StoreError: the disk did not take it.
    """
    _write_new(path, key_pem.encode_public(public_key), 0o644)


def _read(path: Path, *, is_private: bool) -> bytes:
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise TrustError(f"{path}: expected a readable key file: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor), is_private=is_private)
        data = os.read(descriptor, key_pem.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TrustError(f"{path}: expected a readable key file: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return data


def _check(path: Path, found: os.stat_result, *, is_private: bool) -> None:
    """Look at what was opened, not at the name: the name may change in between."""
    if not stat.S_ISREG(found.st_mode):
        raise TrustError(f"{path}: expected a regular file, got {stat.filemode(found.st_mode)}")
    if not is_private:
        return
    if found.st_uid not in (0, os.geteuid()):
        raise TrustError(
            f"{path}: expected a private key owned by root or uid {os.geteuid()}, got uid "
            f"{found.st_uid}; chown it, or make a new key if others could read it"
        )
    if found.st_mode & 0o077:
        raise TrustError(
            f"{path}: expected mode 0600, got {stat.S_IMODE(found.st_mode):04o}; make a new key "
            "if others could read it, else chmod 600"
        )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)  # what a power cut left
        descriptor = os.open(temporary, _CREATE, mode)
        try:
            _fill(descriptor, data, mode)
        finally:
            os.close(descriptor)
        path.hardlink_to(temporary)  # unlike a rename, refuses to replace
    except FileExistsError as error:
        raise TrustError(
            f"{path}: expected no file, found one; a key is never overwritten: move it away first"
        ) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot write the key file: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    try:
        _sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot write the key file: {error.strerror}") from error


def _fill(descriptor: int, data: bytes, mode: int) -> None:
    os.fchmod(descriptor, mode)  # whatever the umask was
    written = os.write(descriptor, data)
    if written != len(data):
        raise OSError(None, f"only {written} of {len(data)} bytes fitted")
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
