"""A journal in memory that keeps the port's promises as long as the process lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vedette.codec import journal_entry
from vedette.codec.merkle import Frontier, Tree, leaf_hash
from vedette.errors import StoreError
from vedette.model.journal import Entry, EntryDraft, Spent
from vedette.ports.journal import Extent, Journal, JournalStatus


class MemoryJournal(Journal):
    """Entries in a list; set `is_degraded` to play a disk that refuses."""

    def __init__(self, *, boot: str = "0" * 32) -> None:
        self.is_degraded = False
        self.recorded: list[Entry] = []
        self._boot = boot
        self._frontier = Frontier()
        self._sequence = self._delivered = 0
        self._spent = Spent(0, 0)
        self._is_open = False

    async def open(self) -> list[str]:
        self._is_open = True
        return []

    async def append(self, drafts: Sequence[EntryDraft]) -> list[Entry]:
        self._check_open()
        entries = [self._entry(draft) for draft in drafts]
        self._frontier = journal_entry.extend(
            self._frontier, (journal_entry.encode(entry) for entry in entries)
        )
        return entries

    async def extent(self, epoch: int, size: int) -> Extent:
        self._check_open()
        now, proof = self.status(), tuple[bytes, ...]()
        if epoch == now.epoch and 0 < size <= now.size:
            leaves = [leaf_hash(journal_entry.encode(entry)) for entry in self.recorded]
            proof = tuple(Tree(Frontier(), leaves).consistency(size, now.size))
        return Extent(now.epoch, now.size, now.root, proof)

    async def outbox(self, after: int, limit: int) -> list[Entry]:
        self._check_open()
        return [entry for entry in self.recorded if entry.sequence > after][:limit]

    async def mark_delivered(self, sequence: int, spent: Spent) -> None:
        self._check_open()
        self._spent = spent
        self._delivered = max(self._delivered, min(sequence, self._sequence))

    async def entries(self, kind: str, limit: int) -> list[Entry]:
        self._check_open()
        newest = reversed(self.recorded)
        return [entry for entry in newest if not kind or entry.draft.kind == kind][:limit]

    def status(self) -> JournalStatus:
        return JournalStatus(
            epoch=1,
            size=self._frontier.size,
            root=self._frontier.root(),
            first_index=0,
            newest_sequence=self._sequence,
            delivered=self._delivered,
            pending=sum(entry.sequence > self._delivered for entry in self.recorded),
            bytes_used=sum(len(entry.draft.body) for entry in self.recorded),
            bytes_limit=1 << 40,
            dropped=0,
            is_degraded=self.is_degraded,
            reason="simulated" if self.is_degraded else "",
            spent=self._spent,
        )

    async def close(self) -> None:
        self._is_open = False

    def _entry(self, draft: EntryDraft) -> Entry:
        self._sequence += bool(draft.topic)
        wall_s = journal_entry.microseconds(draft.wall_s) / 1_000_000
        entry = Entry(
            replace(draft, wall_s=wall_s),
            epoch=1,
            index=len(self.recorded),
            sequence=self._sequence if draft.topic else 0,
            boot=self._boot,
        )
        self.recorded.append(entry)
        return entry

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("expected an open journal: call open() first, nothing after close()")
