"""Verifies an OpenSSF model signature over a directory, with ECDSA keys that the device pins.

Rule 1: closed world: every file that is listed is there, and nothing else is: no unlisted file, no
link, no device. What `ignore_paths` would hide is refused as unlisted.
Rule 2: only in short-lived processes: `cryptography` takes 8 MB.
Rule 3: the signature has no version, no date and no rotation (an old model verifies for ever);
those come from the TUF target that carries it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vedette.codec import dsse
from vedette.codec import model_signature as codec
from vedette.codec.model_signature import WHOLE, Bundle, Resource, Statement
from vedette.codec.text import quoted
from vedette.errors import ParseError, StoreError, TrustError

MAX_KEY_BYTES = 4096
MAX_ENTRIES = 1 << 16
"""Ours: of a directory, before anything of it is read."""

_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
"""FIPS 186-5: a hash as strong as the curve, as model_signing has it."""
_BLOCK = 1 << 20


class ModelKey(NamedTuple):
    """A public key that may sign models.

    Attributes:
        hint: as bundles name it: SHA-256 of its PEM text in hex.
    """

    hint: str
    key: ec.EllipticCurvePublicKey


class SignedModel(NamedTuple):
    """A directory whose signature holds.

    Attributes:
        name: what its maker called the directory.
        key: hint of the key.
        root: SHA-256 over all digests, in hex: how other documents refer to this model.
        files, size_bytes: that were read.
    """

    name: str
    key: str
    root: str
    files: int
    size_bytes: int


def read_key(pem: bytes) -> ModelKey:
    """Read an ECDSA public key on P-256, P-384 or P-521 (SPKI in PEM).

    Raises:
        TrustError: it is another kind of key, or none.
    """
    wanted = "expected an ECDSA public key in PEM on P-256, P-384 or P-521"
    if len(pem) > MAX_KEY_BYTES:
        raise TrustError(f"{wanted}, got {len(pem)} bytes")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TrustError(f"{wanted}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise TrustError(f"{wanted}, got another kind")
    text = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ModelKey(hashlib.sha256(text).hexdigest(), key)


def verify(folder: Path, signature: bytes, keys: Sequence[ModelKey]) -> SignedModel:
    """Check that a pinned key signed this directory as it lies there.

    Args:
        folder: the model's directory; nobody else may change it meanwhile.
        signature: content of `model.sig`, which may not lie in the directory.
        keys: that count; the signature says which one it is.

    Raises:
        TrustError: the signature does not hold, or the directory is not what was signed.
        StoreError: a file cannot be read.
    """
    try:
        bundle = codec.decode_bundle(signature)
        key = _key(bundle, keys)
        _check_signature(bundle, key)
        statement = codec.decode_statement(bundle.payload)
    except ParseError as error:
        raise TrustError(f"model signature: {error}") from error
    size_bytes = _compare(folder, statement)
    files = len({one.path for one in statement.resources})
    return SignedModel(statement.name, key.hint, statement.root, files, size_bytes)


def _key(bundle: Bundle, keys: Sequence[ModelKey]) -> ModelKey:
    for key in keys:
        if key.hint == bundle.hint:
            return key
    known = ", ".join(key.hint[:16] for key in keys) or "none"
    raise TrustError(
        f"model signature: made with the key {bundle.hint[:16]}..., this device trusts {known}; "
        "name the maker's key in [models] signature_keys if it may sign"
    )


def _check_signature(bundle: Bundle, key: ModelKey) -> None:
    algorithm = ec.ECDSA(_HASHES[key.key.curve.name]())
    try:
        key.key.verify(bundle.sig, dsse.pae(codec.PAYLOAD_TYPE, bundle.payload), algorithm)
    except InvalidSignature as error:
        raise TrustError(
            f"model signature: not made by the key {key.hint[:16]}..., or the list of files was "
            "changed afterwards"
        ) from error


def _compare(folder: Path, statement: Statement) -> int:
    """All files against the list; the bytes that were read."""
    listed: dict[str, list[Resource]] = {}
    for one in statement.resources:
        listed.setdefault(one.path, []).append(one)
    found = set(_files(folder))
    for path in sorted(found - listed.keys()):
        raise TrustError(f"model signature: {quoted(path)} is there and was not signed")
    for path in sorted(listed.keys() - found):
        raise TrustError(f"model signature: {quoted(path)} was signed and is not there")
    return sum(
        _check_file(folder / path, path, parts, statement.hash_name)
        for path, parts in sorted(listed.items())
    )


def _files(folder: Path) -> Iterator[str]:
    """The regular files below a folder, relative to it; anything but files and folders is refused.

    An empty folder is nothing a statement could list, and is passed over.
    """
    entries = 0
    waiting = [""]
    while waiting:
        place = waiting.pop()
        try:
            names = os.listdir(os.fsencode(folder / place))  # noqa: PTH208 (bytes: not all is UTF-8)
        except OSError as error:
            raise StoreError(f"{folder / place}: cannot be listed: {error.strerror}") from error
        for raw in names:
            entries += 1
            path = place + _name(raw)
            mode = os.lstat(folder / path).st_mode
            if stat.S_ISDIR(mode):
                waiting.append(path + "/")
            elif stat.S_ISREG(mode):
                yield path
            else:
                raise TrustError(f"model signature: {quoted(path)} is neither file nor folder")
        if entries > MAX_ENTRIES:
            raise TrustError(f"model signature: more than {MAX_ENTRIES} files and folders")


def _name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise TrustError(f"model signature: the name {quoted(raw)} is not UTF-8") from error


def _check_file(path: Path, name: str, parts: Sequence[Resource], hash_name: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not _covers(parts, size):
                raise TrustError(
                    f"model signature: {quoted(name)} has {size} bytes, others were signed"
                )
            for part in sorted(parts, key=lambda one: one.start):
                length = size if part.end == WHOLE else part.end - part.start
                if _digest(file, length, hash_name) != part.digest:
                    raise TrustError(f"model signature: {quoted(name)} was changed")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    return size


def _covers(parts: Sequence[Resource], size: int) -> bool:
    """Whether the parts follow one another from the first byte to the last."""
    if parts[0].end == WHOLE:
        return len(parts) == 1
    place = 0
    for part in sorted(parts, key=lambda one: one.start):
        if part.start != place:
            return False
        place = part.end
    return place == size


def _digest(file: BinaryIO, length: int, hash_name: str) -> bytes:
    """Of the next `length` bytes; of fewer where the file ends before."""
    digest, block = hashlib.new(hash_name), bytearray(_BLOCK)
    view = memoryview(block)
    while length:
        count = file.readinto(view[: min(length, _BLOCK)])  # type: ignore[attr-defined]
        if not count:
            break
        digest.update(view[:count])
        length -= count
    return digest.digest()
