"""What every journal promises (ports/journal.py), run on each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.memory_state import MemoryState
from tests.simulators.signing import signer

from vedette.codec import journal_entry
from vedette.codec.merkle import Frontier, is_consistent
from vedette.errors import StoreError
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft, Spent
from vedette.ports.journal import Journal
from vedette.store.journal import SqliteJournal
from vedette.store.journal_place import JournalPlace

BOOT = "b" * 32
Make = Callable[[], Journal]


def draft(
    number: int,
    *,
    topic: str = "up/finding",
    kind: str = "incident",
    severity: Severity = Severity.HIGH,
    is_routine: bool = False,
) -> EntryDraft:
    return EntryDraft(
        kind, severity, 1_790_000_000 + number / 3, b'{"n":%d}' % number, topic, "", is_routine
    )


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def memory() -> Journal:
        return MemoryJournal(boot=BOOT)

    def sqlite() -> Journal:
        place = JournalPlace(folder=tmp_path / "state", run_folder=None, boot=BOOT)
        return SqliteJournal(place, state=MemoryState(), signer=signer(1))

    return memory if request.param == "memory" else sqlite


def with_open(make: Make, story: Callable[[Journal], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        journal = make()
        assert await journal.open() == []
        try:
            await story(journal)
        finally:
            await journal.close()

    asyncio.run(run())


def test_entries_are_numbered_in_order(make: Make) -> None:
    async def story(journal: Journal) -> None:
        before = journal.status().size
        first = await journal.append([draft(0), draft(1, topic="")])
        second = await journal.append([draft(2)])
        entries = [*first, *second]
        assert [entry.index for entry in entries] == [before, before + 1, before + 2]
        assert first[1].sequence == 0
        assert second[0].sequence == first[0].sequence + 1 > 1
        assert {entry.boot for entry in entries} == {BOOT}
        assert journal.status().size == before + 3
        assert journal.status().newest_sequence == second[0].sequence

    with_open(make, story)


def test_what_was_appended_is_read_back_as_it_was_returned(make: Make) -> None:
    async def story(journal: Journal) -> None:
        recorded = await journal.append([draft(number) for number in range(5)])
        assert await journal.outbox(0, 100) == recorded
        assert await journal.outbox(recorded[1].sequence, 2) == recorded[2:4]
        assert await journal.outbox(recorded[-1].sequence, 2) == []
        assert await journal.entries("incident", 2) == recorded[:2:-1]
        assert (await journal.entries("", 1)) == recorded[-1:]
        assert await journal.entries("no such kind", 5) == []

    with_open(make, story)


def test_entries_without_a_topic_stay_here(make: Make) -> None:
    async def story(journal: Journal) -> None:
        await journal.append([draft(0, topic="", kind="start")])
        assert await journal.outbox(0, 10) == []
        assert len(await journal.entries("start", 10)) == 1
        assert journal.status().pending == 0

    with_open(make, story)


def test_the_delivery_mark_rises_and_never_drops(make: Make) -> None:
    async def story(journal: Journal) -> None:
        recorded = await journal.append([draft(number) for number in range(4)])
        assert journal.status().pending == 4
        await journal.mark_delivered(recorded[2].sequence, Spent(0, 0))
        await journal.mark_delivered(recorded[0].sequence, Spent(300, 7))
        assert journal.status().spent == Spent(300, 7)
        assert journal.status().delivered == recorded[2].sequence
        assert journal.status().pending == 1

    with_open(make, story)


def test_nothing_is_delivered_before_it_was_recorded(make: Make) -> None:
    async def story(journal: Journal) -> None:
        await journal.mark_delivered(10**12, Spent(0, 0))
        (entry,) = await journal.append([draft(0)])
        assert journal.status().delivered < entry.sequence
        assert journal.status().pending == 1

    with_open(make, story)


def test_the_chain_is_recomputed_from_the_entries(make: Make) -> None:
    async def story(journal: Journal) -> None:
        await journal.append([draft(number) for number in range(11)])
        entries = (await journal.entries("", 1000))[::-1]
        chain = journal_entry.extend(Frontier(), map(journal_entry.encode, entries))
        status = journal.status()
        assert (chain.size, chain.root()) == (status.size, status.root)

    with_open(make, story)


def test_many_at_once_keep_the_order_in_which_they_were_asked(make: Make) -> None:
    async def story(journal: Journal) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(journal.append([draft(number)])) for number in range(100)]
        entries = [task.result()[0] for task in tasks]
        assert [entry.draft.body for entry in entries] == [b'{"n":%d}' % n for n in range(100)]
        assert [entry.sequence for entry in entries] == sorted(entry.sequence for entry in entries)
        assert await journal.outbox(0, 1000) == entries

    with_open(make, story)


def test_nothing_at_all_can_be_recorded(make: Make) -> None:
    async def story(journal: Journal) -> None:
        size = journal.status().size
        assert await journal.append([]) == []
        assert journal.status().size == size

    with_open(make, story)


def test_a_closed_journal_says_so(make: Make) -> None:
    async def run() -> None:
        journal = make()
        await journal.open()
        await journal.close()
        await journal.close()
        with pytest.raises(StoreError, match="open journal"):
            await journal.append([draft(0)])

    asyncio.run(run())


def test_its_extent_proves_that_it_continues_what_it_was(make: Make) -> None:
    async def story(journal: Journal) -> None:
        before = journal.status()
        for number in range(1, 40):
            await journal.append([draft(number, topic="")])
            extent = await journal.extent(before.epoch, before.size)
            assert (extent.epoch, extent.size) == (before.epoch, before.size + 1)
            if before.size:
                known = before.size, before.root
                assert is_consistent(*known, extent.size, extent.root, extent.proof)
            before = journal.status()

    with_open(make, story)


def test_its_extent_proves_nothing_from_what_it_never_was(make: Make) -> None:
    async def story(journal: Journal) -> None:
        await journal.append([draft(number) for number in range(5)])
        now = journal.status()
        for epoch, size in ((now.epoch + 1, 3), (now.epoch, now.size + 1), (now.epoch, 0)):
            assert (await journal.extent(epoch, size)).proof == ()
        oldest = await journal.extent(now.epoch, 1)
        newest = await journal.extent(now.epoch, 4)
        again = await journal.extent(now.epoch, 1)  # older than the last question
        assert oldest == again
        assert newest.proof

    with_open(make, story)
