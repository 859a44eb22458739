"""Entries that are not on the disk yet: held back on purpose, or because the disk refuses them.

Rule 1: bounded in number and bytes. When it is full, the lowest severity goes first, the oldest of
it before the newer, the first entry of an incident and critical ones last.
Rule 2: what goes is counted, and the count becomes an entry of its own.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from vedette.codec.strict_json import Json, canonical
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft

MAX_ENTRIES = 1000
MAX_BYTES = 1 << 20

FOLDED_KIND = "folded"
FOLDED_TOPIC = "up/evidence"

KNOWN_INCIDENTS = 4096
"""Ids of recent incidents that are remembered, to tell the first entry of one."""


class KnownIncidents:
    """The recent ones: the first entry of each has its space reserved."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_first(self, incident_id: str) -> bool:
        """Whether no recent entry was of this incident; the oldest ids are forgotten."""
        if not incident_id or incident_id in self._ids:
            return False
        self._ids[incident_id] = None
        if len(self._ids) > KNOWN_INCIDENTS:
            self._ids.popitem(last=False)
        return True


class Tally:
    """Counts of what was folded since they were last told."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Severity, str]] = Counter()
        self._lowest = self._highest = 0

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, severity: Severity, kind: str, sequence: int) -> None:
        """Count one entry."""
        self._counts[severity, kind] += 1
        if sequence:
            self._lowest = min(self._lowest or sequence, sequence)
            self._highest = max(self._highest, sequence)

    def draft(self, wall_s: float, reason: str) -> EntryDraft:
        """The entry that tells the counts; it is never less severe than what it stands for."""
        rows: list[Json] = [
            {"count": count, "kind": kind, "severity": int(severity)}
            for (severity, kind), count in sorted(self._counts.items())
        ]
        body: Json = {
            "first_sequence": self._lowest,
            "folded": rows,
            "last_sequence": self._highest,
            "reason": reason,
        }
        severity = max((severity for severity, _ in self._counts), default=Severity.LOW)
        return EntryDraft(
            FOLDED_KIND, severity, wall_s, canonical(body), FOLDED_TOPIC, "", is_routine=False
        )

    def clear(self) -> None:
        """The counts are safe on the disk."""
        self.__init__()  # type: ignore[misc]  # the empty tally is defined in one place


class Backlog:
    """The entries in memory, in order, each with whether its space is reserved."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._reserved: set[int] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry, *, is_reserved: bool) -> None:
        """Take one more; call `fold` afterwards."""
        self.entries.append(entry)
        self._bytes += _size(entry)
        if is_reserved:
            self._reserved.add(id(entry.draft))

    def is_reserved(self, entry: Entry) -> bool:
        """Whether the first of its incident, or critical."""
        return id(entry.draft) in self._reserved

    def renumber(self, epoch: int, first_index: int) -> list[Entry]:
        """Give every entry its place in the chain; sequence and boot stay as first given."""
        self.entries = [
            replace(entry, epoch=epoch, index=first_index + place)
            for place, entry in enumerate(self.entries)
        ]
        return self.entries

    def drop_first(self, count: int) -> None:
        """The first entries are on the disk."""
        self._keep(self.entries[count:])

    def fold(self) -> list[Entry]:
        """Take out what no longer fits, some more so that it need not be done at each entry."""
        if len(self.entries) <= MAX_ENTRIES and self._bytes <= MAX_BYTES:
            return []
        order = sorted(
            self.entries, key=lambda entry: (self.is_reserved(entry), entry.draft.severity)
        )
        count, size, gone = len(self.entries), self._bytes, set[int]()
        for entry in order:
            if count <= MAX_ENTRIES * 15 // 16 and size <= MAX_BYTES * 15 // 16:
                break
            gone.add(id(entry))
            count, size = count - 1, size - _size(entry)
        folded = [entry for entry in self.entries if id(entry) in gone]
        self._keep([entry for entry in self.entries if id(entry) not in gone])
        return folded

    def _keep(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self._bytes = sum(_size(entry) for entry in self.entries)
        self._reserved &= {id(entry.draft) for entry in self.entries}


def _size(entry: Entry) -> int:
    return len(entry.draft.body) + 256
