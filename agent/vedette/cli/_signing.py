"""What commands share that sign content for devices: flags, times, the envelope."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import NamedTuple

from vedette.codec import dsse
from vedette.errors import RequestError
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id, load_signer

DEFAULT_EXPIRES_DAYS = 365
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


def read_terms(args: argparse.Namespace) -> Terms:
    """The key and the numbers; SOURCE_DATE_EPOCH stands for the time of signing.

    Raises:
        RequestError: a number is below 1.
        TrustError: the key cannot be used.
    """
    if args.counter < 1 or args.expires_days < 1:
        raise RequestError("expected --counter and --expires-days to be 1 or more")
    issued_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    expires_s = issued_s + args.expires_days * _DAY_S
    return Terms(load_signer(args.key), args.counter, issued_s, expires_s)


def sealed(payload_type: str, payload: bytes, signer: Ed25519Signer) -> bytes:
    """A DSSE envelope with one signature."""
    signature = signer.sign(dsse.pae(payload_type, payload))
    return dsse.encode(payload_type, payload, [(key_id(signer.public_key), signature)])
