"""Signed checkpoints of the journal: what a reader off the device holds the journal to.

The origin of a checkpoint names the device and the epoch, since each epoch has its own tree.
"""

from __future__ import annotations

from vedette.codec import note
from vedette.errors import ParseError, TrustError
from vedette.ports.signer import Signer, Verifier


def sign_checkpoint(checkpoint: note.Checkpoint, name: str, signer: Signer) -> bytes:
    """The signed note over a checkpoint (c2sp.org/tlog-checkpoint).

    Args:
        checkpoint: origin, size and root.
        name: of the key; without white space and plus sign.
        signer: the device's key.

    Raises:
        ParseError: name or origin cannot stand in a note.
    """
    text = note.checkpoint_text(checkpoint)
    note.parse_checkpoint(text)
    key_hash = note.key_hash(name, signer.public_key)
    return note.encode_note(text, [note.NoteSignature(name, key_hash, signer.sign(text.encode()))])


def verify_checkpoint(
    data: bytes, name: str, public_key: bytes, verifier: Verifier
) -> note.Checkpoint:
    """Read a checkpoint that a key has signed; signatures of other keys are passed over.

    Raises:
        TrustError: it is none, or the key has not signed it.
    """
    try:
        found = note.decode_note(data)
        checkpoint = note.parse_checkpoint(found.text)
    except ParseError as error:
        raise TrustError(f"expected a signed checkpoint: {error}") from error
    signature = note.signature_of(found, name, public_key)
    if signature is not None and verifier.verify(public_key, signature, found.text.encode()):
        return checkpoint
    raise TrustError(
        f"checkpoint of {checkpoint.origin[:80]!a}: expected a signature of {name} (key hash "
        f"{note.key_hash(name, public_key).hex()}), got none that holds: it was altered or is of "
        "another device"
    )
