"""What commands share that sign content for devices: flags, times, the envelope."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.cli._passwords import Passwords, add_password_file
from vedette.codec import dsse
from vedette.errors import RequestError
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id, load_signer, read_private

DEFAULT_EXPIRES_DAYS = 365
ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_DAY_S = 86_400


class Terms(NamedTuple):
    """Who signs, and what a device holds the content to."""

    signer: Ed25519Signer
    counter: int
    issued_s: int
    expires_s: int


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `read_terms` reads, and `-o`."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--key", type=Path, required=True, metavar="KEYFILE", help="private, PEM")
    parser.add_argument(
        "--counter", type=int, required=True, metavar="N", help="above that of the last one"
    )
    parser.add_argument(
        "--expires-days",
        type=int,
        default=DEFAULT_EXPIRES_DAYS,
        metavar="N",
        help=f"no device takes it for new after so many days (default: {DEFAULT_EXPIRES_DAYS})",
    )
    add_password_file(parser)


def read_terms(args: argparse.Namespace) -> Terms:
    """The key and the numbers; SOURCE_DATE_EPOCH stands for the time of signing.

    Raises:
        RequestError: a number is below 1, or the key's password is wrong.
        TrustError: the key cannot be used.
    """
    if args.counter < 1 or args.expires_days < 1:
        raise RequestError("expected --counter and --expires-days to be 1 or more")
    issued_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    expires_s = issued_s + args.expires_days * _DAY_S
    return Terms(open_signer(args.key, args), args.counter, issued_s, expires_s)


def open_signer(path: Path, args: argparse.Namespace) -> Ed25519Signer:
    """A private key out of its file; one with a password is opened with it.

    Args:
        path: PKCS#8 in PEM.
        args: with what `add_password_file` added.

    Raises:
        RequestError: the password is wrong, or there is none.
        TrustError: others could have read the key, or it is no Ed25519 key.
    """
    if ENCRYPTED not in read_private(path):
        return load_signer(path)
    from vedette.cli._key_seal import unseal_ed25519  # noqa: PLC0415 - cryptography, when needed

    seed = unseal_ed25519(path, read_private(path), Passwords(args.password_file))
    try:
        return Ed25519Signer(seed)
    finally:
        seed[:] = bytes(len(seed))


def sealed(payload_type: str, payload: bytes, signer: Ed25519Signer) -> bytes:
    """A DSSE envelope with one signature."""
    return sealed_by(payload_type, payload, [signer])


def sealed_by(payload_type: str, payload: bytes, signers: Sequence[Ed25519Signer]) -> bytes:
    """A DSSE envelope with a signature of each."""
    message = dsse.pae(payload_type, payload)
    return dsse.encode(
        payload_type, payload, [(key_id(one.public_key), one.sign(message)) for one in signers]
    )
