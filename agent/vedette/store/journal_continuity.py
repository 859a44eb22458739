"""What the journal can show of its own chain: that it continues an older state; what was pruned."""

from __future__ import annotations

from vedette.codec import note
from vedette.codec.merkle import Frontier, Tree
from vedette.errors import StoreError
from vedette.ports.signer import Signer
from vedette.store.journal_file import JournalFile

ORIGIN = "vedette/journal"


class Continuity:
    """Proves it for one epoch; reads only the leaves since the last proof where that is enough."""

    def __init__(self) -> None:
        self._marked = Frontier()

    def proof(
        self, file: JournalFile, pruned: Frontier, frontier: Frontier, old: int
    ) -> tuple[bytes, ...]:
        """From an older size to that of now (RFC 6962 2.1.2), or () where it cannot be shown.

        Args:
            pruned: before the first leaf on the disk.
            frontier: of now.
            old: the size that somebody saw.
        """
        is_marked = pruned.size <= self._marked.size <= old
        start = self._marked if is_marked else pruned
        if not start.size <= old < frontier.size:
            return ()
        try:
            tree = Tree(start, file.leaf_hashes(start.size))
            proof = tuple(tree.consistency(old, frontier.size))
        except (StoreError, ValueError):
            return ()  # what is wrong with the file the next commit tells
        self._marked = frontier if proof else self._marked
        return proof


def seal(signer: Signer, epoch: int, frontier: Frontier) -> bytes:
    """The note over what was pruned; a key signs the same text the same way each time."""
    checkpoint = note.frontier_checkpoint(f"{ORIGIN}/{epoch}", frontier)
    text = note.checkpoint_text(checkpoint)
    key_hash = note.key_hash(ORIGIN, signer.public_key)
    signature = note.NoteSignature(ORIGIN, key_hash, signer.sign(text.encode()))
    return note.encode_note(text, [signature])
