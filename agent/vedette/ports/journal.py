"""The port of the journal: the one hash-chained local log, evidence and outbox both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from vedette.model.journal import NOTHING_SPENT, Entry, EntryDraft, Spent


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """Where the journal stands.

    Attributes:
        is_degraded: entries are kept in memory only, because the disk refuses them.
        reason: why, for people; "" when all is well.
        delivered: every outbox entry up to this sequence is delivered.
        root: RFC 6962 tree head of the epoch (32 bytes), over `size` leaves.
        spent: as it was last given to `mark_delivered`, also by an earlier process.
    """

    epoch: int
    size: int
    root: bytes
    first_index: int
    newest_sequence: int
    delivered: int
    pending: int
    bytes_used: int
    bytes_limit: int
    dropped: int
    is_degraded: bool
    reason: str
    spent: Spent = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the journal is on the disk, and that it continues an older state of itself.

    Attributes:
        root: RFC 6962 tree head of the epoch over `size` leaves.
        proof: RFC 6962 2.1.2 from the older size that was asked for; empty where that one is 0, of
            another epoch, or pruned.
    """

    epoch: int
    size: int
    root: bytes
    proof: tuple[bytes, ...] = ()


class Journal(ABC):
    """Appends in order, syncs before it answers, and never blocks the loop."""

    @abstractmethod
    async def open(self) -> list[str]:
        """Open or begin the journal.

        Returns:
            One line for each thing that was wrong and what was done (a damaged file set aside, a
            new epoch); the caller reports them as a critical incident.
        """

    @abstractmethod
    async def append(self, drafts: Sequence[EntryDraft]) -> list[Entry]:
        """Record drafts as one group; when this returns they are on the disk.

        Routine drafts alone may be held back for the next group. If the disk refuses, the entries
        are kept in bounded memory and `status().is_degraded` is True.
        """

    @abstractmethod
    async def outbox(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries with a topic and a sequence above `after`, in order."""

    @abstractmethod
    async def mark_delivered(self, sequence: int, spent: Spent) -> None:
        """Every outbox entry up to this sequence is delivered, and so much was spent on it.

        Both are kept lazily and cost no write of their own: they outlive this process, and after a
        power cut they may be as the last entries found them. The sequence is never lowered.
        """

    @abstractmethod
    async def entries(self, kind: str, limit: int) -> list[Entry]:
        """The newest entries of a kind ("" for all), newest first."""

    async def extent(self, epoch: int, size: int) -> Extent:
        """How far the journal is, and the proof that it continues what it was.

        Args:
            epoch: of the older state.
            size: of the older state.
        """
        del epoch, size
        now = self.status()
        return Extent(now.epoch, now.size, now.root)

    @abstractmethod
    def status(self) -> JournalStatus:
        """Where it stands, without touching the disk."""

    @abstractmethod
    async def close(self) -> None:
        """Write what is held back, then close."""
