"""Checkpoints: signed, read back, and refused once anything differs."""

from __future__ import annotations

import pytest
from tests.simulators.signing import signer

from vedette.codec import note
from vedette.codec.merkle import leaf_hash
from vedette.errors import ParseError, TrustError
from vedette.trust.checkpoint import sign_checkpoint, verify_checkpoint
from vedette.trust.ed25519 import Ed25519Verifier

KEY, OTHER = signer(1), signer(2)
CHECKPOINT = note.Checkpoint("vedette/cam-7/1", 42, leaf_hash(b""))
SIGNED = sign_checkpoint(CHECKPOINT, "cam-7", KEY)
VERIFIER = Ed25519Verifier()


def test_a_signed_checkpoint_is_read_back() -> None:
    assert verify_checkpoint(SIGNED, "cam-7", KEY.public_key, VERIFIER) == CHECKPOINT


def test_a_witness_may_sign_beside_the_device() -> None:
    text, (own,) = note.decode_note(SIGNED)
    _, (other,) = note.decode_note(sign_checkpoint(CHECKPOINT, "witness", OTHER))
    both = note.encode_note(text, [other, own])
    assert verify_checkpoint(both, "cam-7", KEY.public_key, VERIFIER) == CHECKPOINT


FORGERIES = {
    "another size": SIGNED.replace(b"\n42\n", b"\n41\n"),
    "another device": SIGNED.replace(b"vedette/cam-7", b"vedette/cam-8"),
    "another key under its name": sign_checkpoint(CHECKPOINT, "cam-7", OTHER),
    "another name": sign_checkpoint(CHECKPOINT, "cam-8", KEY),
    "no checkpoint": b"hello\n",
    "truncated": SIGNED[:-10],
}


@pytest.mark.parametrize("data", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_checkpoint_is_refused(data: bytes) -> None:
    assert data != SIGNED
    with pytest.raises(TrustError):
        verify_checkpoint(data, "cam-7", KEY.public_key, VERIFIER)


@pytest.mark.parametrize("name", ["", "cam 7", "cam+7", "cam\n7"])
def test_a_name_that_cannot_stand_in_a_note_is_refused(name: str) -> None:
    with pytest.raises(ParseError):
        sign_checkpoint(CHECKPOINT, name, KEY)


def test_an_origin_of_two_lines_is_refused() -> None:
    with pytest.raises(ParseError):
        sign_checkpoint(CHECKPOINT._replace(origin="a\n7\n"), "cam-7", KEY)
