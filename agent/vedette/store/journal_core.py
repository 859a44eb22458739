"""What the journal does, without threads and without a clock of its own.

Rule 1: entries get epoch, index, sequence and boot in the order of `append`; an index is final
once the entry is on the disk.
Rule 2: a sequence is never used twice on this device (journal_numbers.py).
Rule 3: the disk decides how well, never whether: what it refuses is kept in memory and written in
order later; what does not fit there is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from vedette.codec import journal_entry
from vedette.codec.journal_entry import Tip
from vedette.codec.merkle import Frontier, leaf_hash
from vedette.errors import StoreError
from vedette.model.finding import Severity
from vedette.model.journal import NOTHING_SPENT, Entry, EntryDraft, Spent
from vedette.ports.journal import Extent, JournalStatus
from vedette.ports.signer import Signer
from vedette.ports.state import State
from vedette.store import durable
from vedette.store.journal_backlog import Backlog, KnownIncidents, Tally
from vedette.store.journal_beside import TipFiles, set_aside
from vedette.store.journal_check import Contents
from vedette.store.journal_continuity import Continuity, seal
from vedette.store.journal_drafts import bounded, first_of_epoch
from vedette.store.journal_file import DamagedError, JournalFile
from vedette.store.journal_numbers import Sequences
from vedette.store.journal_pending import Pending
from vedette.store.journal_place import FILE, JournalPlace
from vedette.store.journal_room import Room

_EPOCH = "journal.epoch"


class JournalCore:
    """One journal, for one thread; `now_s` is a monotonic clock in seconds."""

    def __init__(
        self, place: JournalPlace, *, state: State, signer: Signer, wall: Callable[[], float]
    ) -> None:
        self._place, self._state, self._signer, self._wall = place, state, signer, wall
        self._path = place.folder / FILE
        self._tips = TipFiles(place.folder, place.run_folder)
        self._last_tip: Tip | None = None
        self._file: JournalFile | None = None
        self._epoch = 0
        self._frontier = Frontier()
        self._continuity = Continuity()
        self._room = Room(0, Frontier(), [])
        self._pending = Pending()
        self._delivered = self._delivered_on_disk = 0
        self._spent = self._spent_on_disk = NOTHING_SPENT
        self._numbers = Sequences(state)
        self._backlog, self._tally = Backlog(), Tally()
        self._incidents = KnownIncidents()
        self._dropped = 0
        self._reason = ""
        self._due_s: float | None = None
        self.reports: list[str] = []

    def open(self, now_s: float) -> None:
        """Open or begin; what was wrong is in `reports`. Raises nothing."""
        self._last_tip = self._tips.read()
        if self._last_tip is not None:
            self._spent = self._spent_on_disk = self._last_tip.spent
        try:
            self._open_file(self._last_tip)
        except StoreError as error:
            self._degrade(str(error), now_s)
            self._numbers.skip_reserved()
            self.reports.append(f"{error}; the journal is kept in memory and tried again")
            return
        self._flush(now_s)

    def append(self, groups: Sequence[Sequence[EntryDraft]], now_s: float) -> list[list[Entry]]:
        """Record groups of drafts, all in one commit unless all of them can wait."""
        first = len(self._backlog)
        for draft in (draft for group in groups for draft in group):
            self._take(draft)
        taken = self._backlog.entries[first:]
        if self._reason:
            self._fold_backlog()
            self._write_tip()
        elif any(not entry.draft.is_routine for entry in taken):
            written = self._flush(now_s)
            taken = written[first : first + len(taken)] or taken
        elif taken:
            self._wait(now_s + self._place.routine_s)
        entries = iter(taken)
        return [[next(entries) for _ in group] for group in groups]

    def outbox(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries with a sequence above `after`: of the disk, then of memory."""
        found: list[Entry] = []
        position = self._pending.position_after(after) if after >= self._delivered else 0
        if self._file is not None and position is not None:
            found = self._guarded(lambda file: file.outbox(after, position, limit)) or []
        if self._reason:
            newest = found[-1].sequence if found else after
            found += [entry for entry in self._backlog.entries if entry.sequence > newest]
        return found[:limit]

    def entries(self, kind: str, limit: int) -> list[Entry]:
        """The newest entries of a kind, newest first, those in memory included."""
        found = [
            entry
            for entry in reversed(self._backlog.entries)
            if not kind or entry.draft.kind == kind
        ]
        if len(found) < limit:
            found += self._guarded(lambda file: file.newest(kind, limit - len(found))) or []
        return found[:limit]

    def mark_delivered(self, sequence: int, spent: Spent, now_s: float) -> None:
        """Raise the delivery mark, never past what was given out, and note what was spent."""
        has_spent = spent != self._spent
        self._spent = spent
        self._delivered = max(self._delivered, min(sequence, self._numbers.newest))
        skipped = self._pending.deliver(self._delivered)
        if self._file is None and skipped:  # newer ones went out while these could not be read
            self._dropped += skipped
            for _ in range(skipped):
                self._tally.add(Severity.HIGH, "unreadable", self._delivered)
        if has_spent or self._delivered > self._delivered_on_disk:
            self._tips.write_memory(self._tip())
        if self._delivered > self._delivered_on_disk:
            self._wait(now_s + self._place.routine_s)

    def tick(self, now_s: float) -> float | None:
        """Do what is due; returns when to call again, or None."""
        if self._due_s is not None and now_s >= self._due_s:
            self._due_s = None
            if self._reason:
                self._retry(now_s)
            else:
                self._flush(now_s)
        return self._due_s

    def close(self, now_s: float) -> None:
        """Write what is held back, then close."""
        if self._reason:
            self._retry(now_s)
        else:
            self._flush(now_s)
        if self._spent != self._spent_on_disk:
            self._write_tip()
        self._let_go()

    def status(self) -> JournalStatus:
        """Where it stands."""
        waiting = sum(entry.sequence > self._delivered for entry in self._backlog.entries)
        return JournalStatus(
            epoch=self._epoch,
            size=self._frontier.size,
            root=self._frontier.root(),
            first_index=self._room.pruned.size,
            newest_sequence=self._numbers.newest,
            delivered=self._delivered,
            pending=len(self._pending) + waiting,
            bytes_used=self._room.bytes_used,
            bytes_limit=self._place.limit_bytes,
            dropped=self._dropped,
            is_degraded=bool(self._reason),
            reason=self._reason or self._numbers.warning,
            spent=self._spent,
        )

    def extent(self, epoch: int, size: int) -> Extent:
        """How far it is on the disk, and that it continues an older state of itself."""
        proof: tuple[bytes, ...] = ()
        if self._file is not None and epoch == self._epoch and size:
            proof = self._continuity.proof(self._file, self._room.pruned, self._frontier, size)
        return Extent(self._epoch, self._frontier.size, self._frontier.root(), proof)

    # taking entries

    def _take(self, draft: EntryDraft) -> None:
        sequence = self._numbers.take() if draft.topic else 0
        wall_s = journal_entry.microseconds(draft.wall_s) / 1_000_000
        draft = replace(bounded(draft), wall_s=wall_s)
        is_reserved = draft.severity is Severity.CRITICAL or self._incidents.is_first(
            draft.incident_id
        )
        index = self._frontier.size + len(self._backlog)
        entry = Entry(draft, self._epoch, index, sequence, self._place.boot)
        self._backlog.add(entry, is_reserved=is_reserved)

    def _fold_backlog(self) -> None:
        for entry in self._backlog.fold():
            self._tally.add(entry.draft.severity, entry.draft.kind, entry.sequence)
            self._dropped += 1

    # writing

    def _flush(self, now_s: float) -> list[Entry]:
        """Write the backlog and the delivery mark; returns the entries in their final form."""
        if self._file is None:
            return []
        if self._tally:
            self._take(self._tally.draft(self._wall(), "no room"))
        entries = self._backlog.renumber(self._epoch, self._frontier.size)
        if not entries and self._delivered == self._delivered_on_disk:
            return []
        leaves = [journal_entry.encode(entry) for entry in entries]
        rows = [
            (entry, leaf, self._backlog.is_reserved(entry))
            for entry, leaf in zip(entries, leaves, strict=True)
        ]
        try:
            room = self._file.write(rows, self._delivered, self._room)
        except StoreError as error:
            self._failed(error, now_s)
            return []
        self._written(entries, leaves, room, now_s)
        return entries

    def _written(self, entries: list[Entry], leaves: list[bytes], room: Room, now_s: float) -> None:
        self._frontier = journal_entry.extend(self._frontier, leaves)
        self._delivered_on_disk = self._delivered
        self._backlog.drop_first(len(entries))
        self._tally.clear()
        self._due_s = None
        for entry in entries:
            if entry.sequence > self._delivered:
                self._pending.add(entry.sequence, entry.index)
        self._room = room._replace(folded=[])
        if room.folded:
            self._pending.fold({row.sequence for row in room.folded})
            self._dropped += len(room.folded)
            for row in room.folded:
                self._tally.add(row.severity, row.kind, row.sequence)
            self._wait(now_s)
        self._write_tip()

    def _failed(self, error: StoreError, now_s: float) -> None:
        """The file stays open, since it may still be read; a damaged one is let go at once."""
        self._degrade(str(error), now_s)
        if isinstance(error, DamagedError):
            self._let_go()
            self._due_s = now_s
        self._fold_backlog()
        self._write_tip()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _degrade(self, reason: str, now_s: float) -> None:
        self._reason = reason
        self._due_s = now_s + self._place.retry_s

    def _retry(self, now_s: float) -> None:
        """Look at what of a failed commit reached the disk, so that nothing is written twice."""
        epoch, size = self._epoch, self._frontier.size
        try:
            if self._file is not None and self._file.is_in_place():
                if self._file.leaf_hashes(size):
                    self._take_contents(self._file.read(None), None)
            else:
                self._let_go()
                self._open_file(self._tips.read())
            if self._file is not None and self._epoch == epoch:
                self._forget_written(self._file, size)
        except StoreError as error:
            self._failed(error, now_s)
            return
        self._reason = ""
        self._due_s = None
        self._flush(now_s)

    def _forget_written(self, file: JournalFile, size: int) -> None:
        found = file.leaf_hashes(size)
        entries = self._backlog.renumber(self._epoch, size)[: len(found)]
        if found and found == [leaf_hash(journal_entry.encode(entry)) for entry in entries]:
            self._backlog.drop_first(len(found))

    def _guarded(self, read: Callable[[JournalFile], list[Entry]]) -> list[Entry] | None:
        """Read from the file; a failure closes it and the next retry says why."""
        if self._file is None:
            return None
        try:
            return read(self._file)
        except StoreError as error:
            self._failed(error, 0.0)  # due at once
            return None

    def _wait(self, until_s: float) -> None:
        self._due_s = until_s if self._due_s is None else min(self._due_s, until_s)

    # opening

    def _open_file(self, tip: Tip | None) -> None:
        durable.make_folder(self._place.folder)
        if not self._path.exists():
            known = self._state.number(_EPOCH)
            is_expected = known or (tip is not None and tip.epoch)
            reason = "the file of the journal is gone" if is_expected else ""
            self._begin(tip, reason)
            return
        try:
            self._adopt(self._load(tip))
        except DamagedError as error:
            self._begin(tip, str(error))

    def _load(self, tip: Tip | None) -> JournalFile:
        file = self._connect()
        try:
            self._take_contents(file.read(tip), tip)
        except StoreError:
            file.close()
            raise
        return file

    def _take_contents(self, contents: Contents, tip: Tip | None) -> None:
        self.reports += contents.problems
        self._epoch, self._frontier = contents.epoch, contents.frontier
        self._room = Room(contents.bytes_used, contents.pruned, [])
        seen = tip.delivered if tip is not None else 0
        self._delivered = max(self._delivered, contents.delivered, seen)
        self._delivered_on_disk = contents.delivered
        self._pending = contents.pending
        self._pending.deliver(self._delivered)
        newest = max(contents.newest_sequence, tip.newest_sequence if tip is not None else 0)
        self._numbers.go_beyond(newest)
        for incident_id in contents.incidents:
            self._incidents.is_first(incident_id)

    def _adopt(self, file: JournalFile) -> None:
        self._file = file
        if self._epoch > self._state.number(_EPOCH):
            with suppress(StoreError):  # the file itself says it as well
                self._state.update({_EPOCH: self._epoch})

    def _connect(self) -> JournalFile:
        return JournalFile(
            self._path, limit_bytes=self._place.limit_bytes, seal=partial(seal, self._signer)
        )

    def _begin(self, tip: Tip | None, reason: str) -> None:
        """Start an epoch; its first entry says where the one before was last seen."""
        moved = set_aside(self._path)
        known = max(self._state.number(_EPOCH), tip.epoch if tip else 0, self._epoch)
        self._state.update({_EPOCH: known + 1})
        file = self._connect()
        try:
            file.create(known + 1)
        except StoreError:
            file.close()
            raise
        lost = self._undelivered(tip)
        self._file, self._epoch, self._frontier = file, known + 1, Frontier()
        self._continuity = Continuity()
        self._room, self._pending = Room(0, Frontier(), []), Pending()
        self._numbers.skip_reserved()
        self._numbers.go_beyond(tip.newest_sequence if tip else 0)
        self._insert_first(first_of_epoch(tip, known, reason, self._wall()))
        if reason:
            kept = f"set aside as {moved}" if moved else "nothing was left of it"
            self.reports.append(
                f"{reason}; {kept}, epoch {known + 1} begins"
                + (f", {lost} undelivered entries are not sent" if lost else "")
            )

    def _insert_first(self, draft: EntryDraft) -> None:
        """Before what waits in memory already."""
        waiting = self._backlog
        self._backlog = Backlog()
        self._take(draft)
        for entry in waiting.entries:
            self._backlog.add(entry, is_reserved=waiting.is_reserved(entry))

    def _undelivered(self, tip: Tip | None) -> int:
        """How many outbox entries of a lost file were never delivered, as far as is known."""
        if self._epoch:
            return len(self._pending)
        return tip.newest_sequence - tip.delivered if tip else 0

    # the tip

    def _write_tip(self) -> None:
        self._tips.write(self._tip())
        self._spent_on_disk = self._spent

    def _tip(self) -> Tip:
        newest, delivered = self._numbers.newest, self._delivered
        if not self._epoch and self._last_tip is not None:  # the file was never read
            return self._last_tip._replace(
                newest_sequence=newest, delivered=delivered, spent=self._spent
            )
        root = self._frontier.root()
        return Tip(self._epoch, self._frontier.size, newest, delivered, root, self._spent)
