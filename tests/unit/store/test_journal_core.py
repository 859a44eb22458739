"""The journal without its thread: time is data, every damage is a case."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.simulators.memory_state import MemoryState
from tests.simulators.signing import signer

from vedette.codec import journal_entry, note
from vedette.codec.merkle import Frontier
from vedette.errors import StoreError
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft, Spent
from vedette.store import journal_backlog, journal_check
from vedette.store.journal_core import JournalCore
from vedette.store.journal_file import DamagedError, JournalFile
from vedette.store.journal_numbers import BLOCK
from vedette.store.journal_place import FILE, RETRY_S, ROUTINE_S, JournalPlace

BOOT = "b" * 32
WALL_S = 1_790_000_000.0
UNSPENT = Spent(0, 0)


def draft(
    number: int,
    *,
    severity: Severity = Severity.MEDIUM,
    topic: str = "up/finding",
    incident: str = "",
    size: int = 0,
    is_routine: bool = False,
) -> EntryDraft:
    body = b'{"n":%d,"pad":"%b"}' % (number, b"x" * size)
    return EntryDraft("incident", severity, WALL_S, body, topic, incident, is_routine)


class Device:
    """What outlives a crash of the agent: folders and state."""

    def __init__(self, folder: Path) -> None:
        self.state = MemoryState()
        self.folder, self.run = folder / "state", folder / "run"
        self.run.mkdir(parents=True)
        self.limit_bytes = 8 << 20
        self._started: list[JournalCore] = []

    def start(self, *, boot: str = BOOT) -> JournalCore:
        place = JournalPlace(self.folder, self.run, boot, self.limit_bytes)
        core = JournalCore(place, state=self.state, signer=signer(1), wall=lambda: WALL_S)
        self._started.append(core)
        core.open(0.0)
        return core

    def let_go(self) -> None:
        """Close what the story left open; nothing more is written."""
        for core in self._started:
            if core._file is not None:
                core._file.close()

    def reboot(self) -> None:
        shutil.rmtree(self.run)
        self.run.mkdir()

    @property
    def path(self) -> Path:
        return self.folder / FILE


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.let_go()


def append(core: JournalCore, *drafts: EntryDraft, now_s: float = 0.0) -> list[Entry]:
    return core.append([drafts], now_s)[0]


def stop_at_once(core: JournalCore) -> None:
    """End like a killed process: the file is let go, nothing more is written."""
    assert core._file is not None
    copy = core._path.with_name("copy")
    names = [core._path.name, f"{core._path.name}-wal"]
    copy.mkdir()
    for name in names:
        if (core._path.parent / name).exists():
            shutil.copy(core._path.parent / name, copy / name)
    core._file.close()
    core._file = None
    for name in names:
        (core._path.parent / name).unlink(missing_ok=True)
        if (copy / name).exists():
            (copy / name).rename(core._path.parent / name)
    copy.rmdir()


def bodies(entries: list[Entry]) -> list[int]:
    return [json.loads(entry.draft.body)["n"] for entry in entries]


def chain_of(core: JournalCore) -> Frontier:
    entries = core.entries("", 100_000)[::-1]
    return journal_entry.extend(core._room.pruned, map(journal_entry.encode, entries))


def test_the_first_epoch_begins_with_its_reason_and_reports_nothing(device: Device) -> None:
    core = device.start()
    assert core.reports == []
    (entry,) = core.entries("", 10)
    assert (entry.draft.kind, entry.epoch, entry.index, entry.sequence) == ("epoch", 1, 0, 0)
    assert json.loads(entry.draft.body) == {"epoch": 1, "previous": None, "reason": "first start"}
    assert device.folder.stat().st_mode & 0o777 == 0o700
    assert device.path.stat().st_mode & 0o777 == 0o600
    assert (device.folder / f"{FILE}-wal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_restart_goes_on_without_a_gap(device: Device, is_killed: bool) -> None:  # noqa: FBT001
    core = device.start()
    before = append(core, draft(0), draft(1))
    if is_killed:
        stop_at_once(core)
    else:
        core.close(0.0)
    again = device.start(boot="c" * 32)
    assert again.reports == []
    (after,) = append(again, draft(2))
    assert after.index == before[1].index + 1
    assert after.sequence == before[1].sequence + 1
    assert after.boot == "c" * 32
    assert again.outbox(0, 10) == [*before, after]
    assert chain_of(again).root() == again.status().root


def test_routine_entries_wait_for_company_or_an_hour(device: Device) -> None:
    core = device.start()
    size = core.status().size
    append(core, draft(0, is_routine=True), now_s=100.0)
    append(core, draft(1, is_routine=True), now_s=200.0)
    assert (core.status().size, core.outbox(0, 10)) == (size, [])
    assert core.tick(100.0 + ROUTINE_S - 1) == 100.0 + ROUTINE_S
    assert core.status().size == size
    assert core.tick(100.0 + ROUTINE_S) is None
    assert (core.status().size, bodies(core.outbox(0, 10))) == (size + 2, [0, 1])
    append(core, draft(2, is_routine=True), now_s=5000.0)
    append(core, draft(3), now_s=5001.0)
    assert bodies(core.outbox(0, 10)) == [0, 1, 2, 3]
    assert core.tick(5001.0) is None


def test_the_delivery_mark_is_written_within_an_hour_and_costs_no_commit_of_its_own(
    device: Device,
) -> None:
    core = device.start()
    entries = append(core, *(draft(number) for number in range(5)))
    core.mark_delivered(entries[1].sequence, UNSPENT, 100.0)
    assert core._delivered_on_disk == 0
    assert core.tick(100.0 + ROUTINE_S) is None
    assert core._delivered_on_disk == entries[1].sequence
    core.mark_delivered(entries[2].sequence, UNSPENT, 5000.0)
    append(core, draft(9))
    assert core._delivered_on_disk == entries[2].sequence
    core.mark_delivered(entries[3].sequence, UNSPENT, 6000.0)
    core.close(6000.0)
    device.reboot()
    assert device.start().status().delivered == entries[3].sequence


def test_what_was_spent_outlives_a_kill_and_an_orderly_reboot_without_a_commit(
    device: Device,
) -> None:
    core = device.start()
    append(core, draft(0))
    size = (device.folder / f"{FILE}-wal").stat().st_size
    core.mark_delivered(0, Spent(5000, 60), 0.0)
    assert core.tick(ROUTINE_S) is None
    stop_at_once(core)
    assert (device.folder / f"{FILE}-wal").stat().st_size == size
    core = device.start()
    assert core.status().spent == Spent(5000, 60)
    core.mark_delivered(0, Spent(7000, 90), 1.0)
    core.close(2.0)
    device.reboot()
    assert device.start().status().spent == Spent(7000, 90)


def test_after_a_power_cut_what_was_spent_is_as_the_last_entries_found_it(device: Device) -> None:
    core = device.start()
    core.mark_delivered(0, Spent(5000, 60), 0.0)
    append(core, draft(0))
    core.mark_delivered(0, Spent(9000, 80), 1.0)
    stop_at_once(core)
    device.reboot()
    assert device.start().status().spent == Spent(5000, 60)


def test_a_new_day_is_not_mistaken_for_an_older_tip_that_says_more(device: Device) -> None:
    core = device.start()
    core.mark_delivered(0, Spent(90_000, 86_000), 0.0)
    append(core, draft(0))
    core.mark_delivered(0, Spent(100, 3), 1.0)
    stop_at_once(core)
    assert device.start().status().spent == Spent(100, 3)


def test_a_killed_process_forgets_no_delivery(device: Device) -> None:
    core = device.start()
    (entry,) = append(core, draft(0))
    core.mark_delivered(entry.sequence, UNSPENT, 0.0)
    stop_at_once(core)
    assert device.start().status().pending == 0


def lose_file(device: Device) -> None:
    device.path.unlink()


def lose_file_and_tips(device: Device) -> None:
    device.path.unlink()
    (device.folder / "journal.tip").unlink()
    device.reboot()


def lose_file_and_state(device: Device) -> None:
    device.path.unlink()
    device.state.values.clear()


LOSSES = {
    "the file": lose_file,
    "file and tips": lose_file_and_tips,
    "file and state": lose_file_and_state,
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_no_sequence_is_used_twice_after_a_loss(
    device: Device, lose: Callable[[Device], None]
) -> None:
    core = device.start()
    used = append(core, *(draft(number) for number in range(7)))
    core.close(0.0)
    lose(device)
    again = device.start()
    assert again.status().epoch == 2
    assert len(again.reports) == 1
    assert "epoch 2 begins" in again.reports[0]
    (entry,) = append(again, draft(8))
    assert entry.sequence > used[-1].sequence
    first = again.entries("epoch", 10)[-1]
    assert first.index == 0
    assert first.draft.severity is Severity.CRITICAL


def test_the_new_epoch_names_size_and_root_of_the_one_before(device: Device) -> None:
    core = device.start()
    append(core, *(draft(number) for number in range(7)))
    before = core.status()
    core.close(0.0)
    device.path.write_bytes(b"not a database at all" * 100)
    again = device.start()
    (first,) = again.entries("epoch", 10)
    body = json.loads(first.draft.body)
    assert body["previous"] == {"epoch": 1, "size": before.size, "root": before.root.hex()}
    assert "not a database" in body["reason"]
    assert "7 undelivered entries are not sent" in again.reports[0]
    assert (device.folder / f"{FILE}.damaged-1").exists()


def test_reservations_are_taken_in_blocks(device: Device) -> None:
    core = device.start()
    append(core, *(draft(number) for number in range(3)))
    assert device.state.number("journal.reserved") == BLOCK
    append(core, *(draft(number) for number in range(BLOCK)))
    assert device.state.number("journal.reserved") == 2 * BLOCK


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE entry(x)")
    database.close()


def trigger_planted(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END")
    database.close()


def entry_rewritten(path: Path) -> None:
    with sqlite3.connect(path) as database:
        leaf = database.execute("SELECT leaf FROM entry WHERE position = 3").fetchone()[0]
        database.execute(
            "UPDATE entry SET leaf = ? WHERE position = 3", (leaf.replace(b'"n":2', b'"n":9'),)
        )
    database.close()


def row_removed(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM entry WHERE position = 3")
    database.close()


def end_removed(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM entry WHERE position > 3")
    database.close()


def leaf_of_another_kind(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entry SET leaf = x'00' WHERE position = 3")
    database.close()


def meta_garbled(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = x'ff' WHERE name = 'epoch'")
    database.close()


def replace_by_another(path: Path) -> None:
    path.unlink()
    other_database(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_text(path: Path) -> None:
    path.write_bytes(b"hello " * 1000)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = {
    "empty": empty,
    "a text": a_text,
    "zeros": zeros,
    "a database of somebody else": replace_by_another,
    "a trigger": trigger_planted,
    "an entry rewritten": entry_rewritten,
    "an entry removed": row_removed,
    "the end removed": end_removed,
    "a leaf that is none": leaf_of_another_kind,
    "an epoch that is none": meta_garbled,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_set_aside_reported_and_followed_by_an_epoch(
    device: Device, damage: Callable[[Path], None]
) -> None:
    core = device.start()
    append(core, *(draft(number) for number in range(7)))
    core.close(0.0)
    damage(device.path)
    again = device.start()
    assert len(again.reports) == 1
    assert "set aside as journal.db.damaged-1, epoch 2 begins" in again.reports[0]
    append(again, draft(1))
    assert again.status().size == 2
    assert not again.status().is_degraded
    again.close(0.0)
    assert device.start().reports == []


def test_only_two_damaged_files_are_kept(device: Device) -> None:
    for _ in range(4):
        device.start().close(0.0)
        device.path.write_bytes(b"damage")
    device.start()
    names = sorted(path.name for path in device.folder.glob("*.damaged-*"))
    assert names == [f"{FILE}.damaged-3", f"{FILE}.damaged-4"]


@pytest.mark.parametrize("place", ["a directory", "a link"])
def test_what_cannot_be_opened_is_reported_and_memory_is_used(device: Device, place: str) -> None:
    device.folder.mkdir()
    if place == "a directory":
        device.path.mkdir()
    else:
        device.path.symlink_to(device.run)
    core = device.start()
    assert core.status().is_degraded
    assert len(core.reports) == 1
    (entry,) = append(core, draft(1))
    assert core.outbox(0, 10) == [entry]
    device.path.rmdir() if place == "a directory" else device.path.unlink()
    assert core.tick(RETRY_S) is None
    assert not core.status().is_degraded
    assert bodies(core.outbox(0, 10)) == [1]
    assert core.outbox(0, 10)[0].sequence == entry.sequence
    assert core.entries("epoch", 1)[0].draft.severity is Severity.INFORMATIONAL


def crashed(tmp_path: Path, name: str) -> tuple[Device, list[Entry]]:
    """A journal whose newest entries are still in the WAL, as after kill -9."""
    device = Device(tmp_path / name)
    core = device.start()
    entries = [append(core, draft(number, size=700))[0] for number in range(11)]
    core.mark_delivered(entries[1].sequence, UNSPENT, 0.0)
    entries += append(core, draft(11, size=700))
    stop_at_once(core)
    return device, entries


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_truncated_anywhere_nothing_is_lost_in_silence(tmp_path: Path, suffix: str) -> None:
    device, entries = crashed(tmp_path, "whole")
    whole = {path.name: path.read_bytes() for path in device.folder.iterdir()}
    target = whole[FILE + suffix]
    assert target
    tip = (device.folder / "journal.tip").read_bytes()
    chance = random.Random(1)
    for size in [0, 1, len(target) - 1, *(chance.randrange(len(target)) for _ in range(12))]:
        restore(device, whole)
        (device.folder / (FILE + suffix)).write_bytes(target[:size])
        (device.run / "journal.tip").write_bytes(tip)
        assert_whole_or_told(device, entries)


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_flipped_anywhere_nothing_is_lost_in_silence(tmp_path: Path, suffix: str) -> None:
    device, entries = crashed(tmp_path, "whole")
    whole = {path.name: path.read_bytes() for path in device.folder.iterdir()}
    tip = whole["journal.tip"]
    chance = random.Random(2)
    for _ in range(25):
        restore(device, whole)
        target = bytearray(whole[FILE + suffix])
        for _ in range(chance.choice([1, 1, 5, 200])):
            target[chance.randrange(len(target))] ^= chance.randrange(1, 256)
        (device.folder / (FILE + suffix)).write_bytes(target)
        (device.run / "journal.tip").write_bytes(tip)
        assert_whole_or_told(device, entries)


def restore(device: Device, whole: dict[str, bytes]) -> None:
    for path in device.folder.iterdir():
        path.unlink()
    for name, data in whole.items():
        (device.folder / name).write_bytes(data)
    device.state.values["journal.epoch"] = 1


def assert_whole_or_told(device: Device, entries: list[Entry]) -> None:
    core = device.start()
    if core.reports:
        assert core.status().epoch == 2
        assert core.entries("epoch", 1)[0].draft.severity is Severity.CRITICAL
    else:
        assert core.outbox(0, 100) == entries
        assert core.status().delivered == entries[1].sequence
        assert core.outbox(entries[1].sequence, 100) == entries[2:]
        assert chain_of(core).root() == core.status().root
    (after,) = append(core, draft(99))
    assert after.sequence > entries[-1].sequence
    assert not core.status().is_degraded
    core.close(0.0)


def test_what_is_delivered_is_pruned_under_a_signed_frontier(device: Device) -> None:
    device.limit_bytes = 100_000
    core = device.start()
    for number in range(300):
        (entry,) = append(core, draft(number, size=800))
        core.mark_delivered(entry.sequence, UNSPENT, 0.0)
        assert core.status().bytes_used <= device.limit_bytes
    status = core.status()
    assert status.size == 301
    assert status.first_index > 150
    assert status.dropped == 0
    assert chain_of(core).root() == status.root
    core.close(0.0)
    assert device.path.stat().st_size < 4 * device.limit_bytes
    with sqlite3.connect(device.path) as database:
        sealed = database.execute("SELECT value FROM meta WHERE name = 'pruned'").fetchone()[0]
    database.close()
    text, (signature,) = note.decode_note(bytes(sealed))
    assert note.parse_frontier(note.parse_checkpoint(text)).size == status.first_index
    assert signature.signature == signer(1).sign(text.encode())
    again = device.start()
    assert again.reports == []
    assert again.status().root == status.root


def test_full_of_undelivered_the_lowest_severity_goes_first_and_is_counted(
    device: Device,
) -> None:
    device.limit_bytes = 100_000
    core = device.start()
    kept: list[Entry] = []
    for number in range(200):
        kept += append(core, draft(number, severity=Severity.LOW, size=800))
    kept += append(core, *(draft(1000 + n, severity=Severity.HIGH, size=800) for n in range(20)))
    for number in range(200, 400):
        kept += append(core, draft(number, severity=Severity.LOW, size=800))
        core.tick(0.0)
    status = core.status()
    assert status.bytes_used <= device.limit_bytes
    left = core.outbox(0, 10_000)
    told = [json.loads(entry.draft.body) for entry in left if entry.draft.kind == "folded"]
    found = [entry for entry in left if entry.draft.kind == "incident"]
    assert {entry for entry in kept if entry.draft.severity is Severity.HIGH} <= set(found)
    assert len(found) + status.dropped - _folded_tales(core) == 420
    counted = sum(row["count"] for body in told for row in body["folded"])
    assert 0 < counted <= status.dropped
    core.close(0.0)
    again = device.start()
    assert again.reports == []
    assert again.status().root == status.root or again.status().size > status.size


def _folded_tales(core: JournalCore) -> int:
    """Entries that told of folding and were folded themselves."""
    return (
        core._numbers.newest
        - 420
        - sum(entry.draft.kind == "folded" for entry in core.outbox(0, 10_000))
    )


def test_first_entries_of_incidents_and_critical_ones_keep_their_room(device: Device) -> None:
    device.limit_bytes = 100_000
    core = device.start()
    first = append(core, draft(0, severity=Severity.LOW, incident="a" * 16, size=800))
    critical = append(core, draft(1, severity=Severity.CRITICAL, size=800))
    for number in range(2, 400):
        append(core, draft(number, severity=Severity.HIGH, incident="a" * 16, size=800))
        core.tick(0.0)
    left = core.outbox(0, 10_000)
    assert {*first, *critical} <= set(left)
    late = append(core, draft(1000, severity=Severity.CRITICAL, size=800))
    assert set(late) <= set(core.outbox(0, 10_000))


def test_full_of_critical_ones_it_stays_within_its_limit(device: Device) -> None:
    device.limit_bytes = 50_000
    core = device.start()
    for number in range(200):
        append(core, draft(number, severity=Severity.CRITICAL, size=800))
        assert core.status().bytes_used <= device.limit_bytes
    newest = [n for n in core.outbox(0, 1000) if n.draft.kind == "incident"][-1]
    assert bodies([newest]) == [199]
    assert core.status().dropped > 0


class BadDisk:
    """Makes the file refuse writes, as the disk would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: StoreError) -> None:
        self._real, self._patch, self._error = JournalFile.write, monkeypatch, error

    def __enter__(self) -> None:
        def refuse(*_: object) -> None:
            raise self._error

        self._patch.setattr(JournalFile, "write", refuse)

    def __exit__(self, *_: object) -> None:
        self._patch.setattr(JournalFile, "write", self._real)


REFUSALS = {
    "full": StoreError("database or disk is full"),
    "read-only or broken": StoreError("disk I/O error"),
}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS.keys())
def test_what_the_disk_refuses_is_kept_sent_and_written_later_in_order(
    device: Device, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    core = device.start()
    before = append(core, draft(0))
    with BadDisk(monkeypatch, error):
        during = append(core, draft(1), draft(2), now_s=50.0)
        during += append(core, draft(3), now_s=51.0)
        assert core.status().is_degraded
        assert str(error) in core.status().reason
        assert core.outbox(0, 10) == [*before, *during]
        assert core.tick(50.0 + RETRY_S) == 50.0 + 2 * RETRY_S
    assert core.tick(50.0 + 2 * RETRY_S) is None
    assert not core.status().is_degraded
    found = core.outbox(0, 10)
    assert bodies(found) == [0, 1, 2, 3]
    assert [e.sequence for e in found] == [e.sequence for e in [*before, *during]]
    assert chain_of(core).root() == core.status().root
    core.close(0.0)
    again = device.start()
    assert again.reports == []
    assert again.outbox(0, 10) == found


def test_memory_is_bounded_and_what_goes_is_counted_lowest_severity_first(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = device.start()
    with BadDisk(monkeypatch, StoreError("database or disk is full")):
        append(core, *(draft(n, severity=Severity.HIGH) for n in range(10)))
        for number in range(2 * journal_backlog.MAX_ENTRIES):
            append(core, draft(100 + number, severity=Severity.LOW))
        assert len(core._backlog) <= journal_backlog.MAX_ENTRIES
        dropped = core.status().dropped
        assert dropped > 0
    core.tick(RETRY_S)
    found = core.outbox(0, 10_000)
    assert bodies(found[:10]) == list(range(10))
    (told,) = core.entries("folded", 10)
    assert sum(row["count"] for row in json.loads(told.draft.body)["folded"]) == dropped
    assert len(found) + dropped == 10 + 2 * journal_backlog.MAX_ENTRIES + 1


def test_a_crash_while_degraded_uses_no_sequence_twice(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = device.start()
    append(core, draft(0))
    with BadDisk(monkeypatch, StoreError("database or disk is full")):
        sent = append(core, draft(1), draft(2))
        stop_at_once(core)
    (after,) = append(device.start(), draft(3))
    assert after.sequence == sent[-1].sequence + 1


def test_a_commit_that_failed_after_it_reached_the_disk_is_not_written_twice(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = device.start()
    real = JournalFile.write

    def write_then_fail(self: JournalFile, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]  # handed on as it came
        raise StoreError("disk I/O error")

    monkeypatch.setattr(JournalFile, "write", write_then_fail)
    taken = append(core, draft(1), draft(2))
    monkeypatch.setattr(JournalFile, "write", real)
    core.tick(RETRY_S)
    assert core.outbox(0, 10) == taken
    assert core.reports == []
    assert chain_of(core).root() == core.status().root


def test_damage_found_while_running_begins_an_epoch_at_once(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = device.start()
    append(core, draft(0))
    with BadDisk(monkeypatch, DamagedError("database disk image is malformed")):
        taken = append(core, draft(1), now_s=7.0)
        device.path.write_bytes(b"damage")
    core.tick(7.0)
    assert core.status().epoch == 2
    assert len(core.reports) == 1
    assert [entry.sequence for entry in core.outbox(0, 10)] == [taken[0].sequence]
    assert [entry.index for entry in core.entries("", 10)] == [1, 0]


def test_a_state_that_cannot_reserve_is_said_and_stops_nothing(device: Device) -> None:
    core = device.start()
    device.state.is_full = True
    append(core, *(draft(number) for number in range(3)))
    assert "could not be reserved" in core.status().reason
    assert not core.status().is_degraded
    assert len(core.outbox(0, 10)) == 3


def test_another_process_that_holds_the_file_is_named(device: Device) -> None:
    core = device.start()
    append(core, draft(0))
    other = device.start()
    assert other.status().is_degraded
    assert "locked" in other.reports[0]
    core.close(0.0)


def test_a_body_that_is_far_too_long_is_replaced_by_its_digest(device: Device) -> None:
    core = device.start()
    (entry,) = append(core, draft(0, size=journal_entry.MAX_BODY_BYTES))
    body = json.loads(entry.draft.body)
    assert body["omitted_bytes"] > journal_entry.MAX_BODY_BYTES
    assert core.outbox(0, 1) == [entry]


def test_a_hostile_file_of_endless_size_is_not_read(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = device.start()
    append(core, *(draft(number, size=800) for number in range(200)))
    core.close(0.0)
    device.limit_bytes = 10_000
    monkeypatch.setattr(journal_check, "_SLACK_BYTES", 0)
    assert "got far more" in device.start().reports[0]
