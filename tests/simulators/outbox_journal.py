"""A journal in memory, as far as the outbox needs one: the real port, without a disk."""

from __future__ import annotations

from collections.abc import Sequence

from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft, Spent
from vedette.ports.journal import Journal, JournalStatus

BOOT = "0123456789abcdef0123456789abcdef"


def draft(
    body: bytes, *, topic: str = "up/finding", severity: Severity = Severity.HIGH
) -> EntryDraft:
    return EntryDraft("incident", severity, 1_795_300_000.0, body, topic, "feed", is_routine=False)


class OutboxJournal(Journal):
    """Keeps entries; sequences rise by one for each entry with a topic."""

    def __init__(self) -> None:
        self.kept: list[Entry] = []
        self.delivered = 0
        self.marks: list[int] = []
        self.spent = Spent(0, 0)

    async def open(self) -> list[str]:
        return []

    async def append(self, drafts: Sequence[EntryDraft]) -> list[Entry]:
        made = [
            Entry(found, 1, len(self.kept) + place, len(self.kept) + place + 1, BOOT)
            for place, found in enumerate(drafts)
        ]
        self.kept += made
        return made

    async def outbox(self, after: int, limit: int) -> list[Entry]:
        return self.kept[after : after + limit]

    async def mark_delivered(self, sequence: int, spent: Spent) -> None:
        assert sequence >= self.delivered
        self.delivered = sequence
        self.spent = spent
        self.marks.append(sequence)

    async def entries(self, kind: str, limit: int) -> list[Entry]:
        return [entry for entry in reversed(self.kept) if kind in ("", entry.draft.kind)][:limit]

    def status(self) -> JournalStatus:
        newest = len(self.kept)
        return JournalStatus(
            1, newest, bytes(32), 0, newest, self.delivered, newest - self.delivered, 0, 0, 0,
            is_degraded=False, reason="", spent=self.spent,
        )  # fmt: skip

    async def close(self) -> None:
        pass
