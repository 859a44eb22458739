"""The key that checkpoints are signed with, of which every use is the last.

Rule 1: each key is made of the one before by SHA-256, which nobody turns back; so whoever has
today's key can make all later ones and none of the earlier.
Rule 2: a key is overwritten on the disk and in memory as soon as its successor is durable. What a
flash translation layer keeps of an overwritten block, and what the allocator keeps of a Python
object, is out of reach: agent/docs/threat-model.md says so.
Rule 3: a crash between signing and evolving is harmless: the successor is made of the key, so it is
the one that the link has named.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Final

from vedette.codec import chain_link, note
from vedette.codec.note import Checkpoint, NoteSignature
from vedette.errors import StoreError
from vedette.ports.signer import Signer
from vedette.ports.state import Cell
from vedette.trust.ed25519 import SEED_BYTES, Ed25519Signer

FILE: Final = "checkpoint.key"
_DOMAIN: Final = b"vedette/v1/checkpoint-key\n"
_FORM: Final = re.compile(rb"vedette checkpoint key 1\n(0|[1-9][0-9]{0,14})\n([0-9a-f]{64})\n")


class EvolvingKey:
    """One key at a time, in a file of ours.

    Args:
        cell: holds it.
        least: the lowest number that may still be signed: the journal holds those below.

    Attributes:
        number: of the link that the key will sign.
        problem: why a new chain of keys was begun, for people; "" where none was, or it is the
            first.

    Raises:
        StoreError: the disk does not take a new key.
    """

    def __init__(self, cell: Cell, least: int) -> None:
        self._cell = cell
        self.problem = ""
        self.number, self._seed = self._load(least)
        self._signer = Ed25519Signer(self._seed)
        if self.number < least:  # it has signed, and a crash came before it was forgotten
            self.evolve()

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._signer.public_key

    def sign_link(
        self, origin: str, size: int, root: bytes, baseline: str, device: str, signer: Signer
    ) -> bytes:
        """The signed note of this key's link.

        Args:
            origin: of the checkpoint: device and epoch.
            size: of the tree.
            root: of the tree.
            baseline: the file baseline's digest, or "".
            device: the fleet's name of it.
            signer: the device's key.

        Raises:
            ParseError: origin or device cannot stand in a note.
        """
        with_next = Ed25519Signer(_successor(self._seed))
        lines = chain_link.extensions(baseline, self.number, self.public_key, with_next.public_key)
        with_next.close()
        text = note.checkpoint_text(Checkpoint(origin, size, root, lines))
        chain_link.parse_link(note.parse_checkpoint(text))
        names = (device, signer), (chain_link.key_name(device, self.number), self._signer)
        return note.encode_note(text, [_signature(name, key, text) for name, key in names])

    def evolve(self) -> None:
        """Make the next key, and forget this one.

        Raises:
            StoreError: the disk did not take the next one; this one is still there.
        """
        following = _successor(self._seed)
        self._save(self.number + 1, following)
        self._signer.close()
        self._seed[:] = bytes(SEED_BYTES)
        self.number, self._seed = self.number + 1, following
        self._signer = Ed25519Signer(following)

    def _load(self, least: int) -> tuple[int, bytearray]:
        try:
            data = self._cell.load()
        except StoreError as error:
            data, self.problem = b"", str(error)
        found = _FORM.fullmatch(data or b"")
        if found is not None and int(found[1]) >= least - 1:
            return int(found[1]), bytearray.fromhex(found[2].decode("ascii"))
        if found is not None:
            self.problem = (
                f"{self._cell.name} is the key of link {int(found[1])}, expected that of {least}: "
                "it was put back from elsewhere"
            )
        elif data is not None or least:
            self.problem = self.problem or (
                f"{self._cell.name} is {'damaged' if data else 'gone'}: nobody can sign what "
                f"follows link {least - 1} as announced"
            )
        seed = bytearray(os.urandom(SEED_BYTES))
        self._save(least, seed)
        return least, seed

    def _save(self, number: int, seed: bytearray) -> None:
        self._cell.replace(
            b"vedette checkpoint key 1\n%d\n%b\n" % (number, seed.hex().encode("ascii"))
        )


def _successor(seed: bytearray) -> bytearray:
    return bytearray(sha256(_DOMAIN + seed).digest())


def _signature(name: str, signer: Signer, text: str) -> NoteSignature:
    hashed = note.key_hash(name, signer.public_key)
    return NoteSignature(name, hashed, signer.sign(text.encode()))
