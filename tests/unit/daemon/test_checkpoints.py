"""Links over a journal: durable before the key is erased, and followed by who reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.signing import signer

from vedette.codec import strict_json
from vedette.core.chain import Chain, Verdict
from vedette.daemon.checkpoints import KIND, TOPIC, Checkpoints
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.message import Identity
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.evolving_key import FILE

DEVICE = signer(1)
IDENTITY = Identity("acme", "cam-7", "b" * 32)


class World:
    """A journal, what signs it, and what was reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = MemoryJournal()
        self.reports: list[tuple[str, str]] = []
        self.told: list[int] = []
        self.checkpoints = self.restarted()

    def restarted(self) -> Checkpoints:
        self.checkpoints = Checkpoints(
            self.journal, IDENTITY, DEVICE, self.folder, baseline=lambda: "ab" * 32,
            report=lambda condition, reason: self.reports.append((condition, reason)),
            added=lambda: self.told.append(self.journal.status().newest_sequence),
            wall=lambda: 1_790_000_000.0,
        )  # fmt: skip
        return self.checkpoints

    async def record(self, text: str) -> None:
        body = strict_json.canonical({"text": text})
        draft = EntryDraft("note", Severity.LOW, 1.0, body, "", "", is_routine=False)
        await self.journal.append([draft])

    def verdicts(self) -> list[Verdict]:
        """What a reader makes of all links, in their order."""
        chain = Chain("acme", "cam-7", DEVICE.public_key)
        links = [e.draft for e in self.journal.recorded if e.draft.kind == KIND]
        assert all(draft.topic == TOPIC and not draft.is_routine for draft in links)
        documents = [strict_json.parse(draft.body, max_bytes=1 << 16) for draft in links]
        return [chain.take(document, Ed25519Verifier()).verdict for document in documents]


def play(folder: Path, story: Callable[[World], Awaitable[None]]) -> World:
    async def run() -> World:
        world = World(folder)
        await world.journal.open()
        await story(world)
        return world

    return asyncio.run(run())


def test_links_over_a_growing_journal_are_a_chain(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for text in ("one", "two", "three"):
            await world.record(text)
            assert await world.checkpoints.add()
        world.restarted()
        assert await world.checkpoints.add()

    world = play(tmp_path, story)
    assert world.verdicts() == [Verdict.BEGUN, *[Verdict.HOLDS] * 3]
    assert world.told == [e.sequence for e in world.journal.recorded if e.draft.kind == KIND]
    assert world.reports == []


def test_no_key_is_used_up_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await world.checkpoints.add()
        before = (tmp_path / FILE).read_bytes()
        world.journal.is_degraded = True
        assert not await world.checkpoints.add()
        assert not await world.checkpoints.add()
        assert (tmp_path / FILE).read_bytes() == before
        world.journal.is_degraded = False
        assert await world.checkpoints.add()

    world = play(tmp_path, story)
    assert world.verdicts() == [Verdict.BEGUN, Verdict.HOLDS]
    assert [condition for condition, _ in world.reports] == ["checkpoint-stuck"], "told once"


def test_a_key_that_was_taken_away_is_told_on_the_device_and_seen_off_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await world.checkpoints.add()
        assert await world.checkpoints.add()
        (tmp_path / FILE).unlink()
        world.restarted()
        assert await world.checkpoints.add()

    world = play(tmp_path, story)
    ((condition, reason),) = world.reports
    assert condition == "checkpoint-key-lost"
    assert "is gone: nobody can sign what follows link 1" in reason
    assert world.verdicts() == [Verdict.BEGUN, Verdict.HOLDS, Verdict.BROKEN]
