"""What is to leave the device waits in the journal until there is a way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.outbox_journal import draft
from tests.simulators.still_parts import StillParts

from vedette.core.outbox import Condition
from vedette.daemon.parts import Parts
from vedette.errors import StoreError

Story = Callable[[StillParts, Parts], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def open_and_play() -> None:
            still = StillParts(tmp_path, monkeypatch)
            async with still.open() as parts:
                await story(still, parts)

        asyncio.run(open_and_play())

    return run


def test_before_it_is_open_nothing_is_lost(play: Callable[[Story], None]) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        outgoing = parts.outgoing
        entry = await outgoing.record(draft(b"an alert"))
        outgoing.poke()
        outgoing.publish_state(b"{}")
        assert outgoing.largest_bytes() == 0
        assert [kept.draft.body for kept in await parts.journal.outbox(0, 9)] == [b"an alert"]
        assert entry.sequence == 1

    play(story)


def test_what_the_disk_refuses_is_not_said_to_be_recorded(play: Callable[[Story], None]) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        whole, refusing = parts.journal, MemoryJournal()
        await refusing.open()
        refusing.is_degraded = True
        parts.journal = refusing  # type: ignore[assignment] # the port is all that is used of it
        try:
            with pytest.raises(StoreError, match="kept in memory only: simulated"):
                await parts.outgoing.record(draft(b"a step"))
        finally:
            parts.journal = whole
        assert [kept.draft.body for kept in refusing.recorded] == [b"a step"], "it is kept"

    play(story)


def test_what_was_told_of_the_way_out_is_not_told_again(play: Callable[[Story], None]) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        parts.own.uplink(Condition.OFFLINE, "the broker is away")
        parts.own.uplink(Condition.BUDGET, "used up")
        parts.own.uplink(Condition.BUDGET, "")
        await still.noted("uplink")
        delivery, _ = await parts.outgoing.make()
        assert delivery is parts.outgoing.delivery
        assert delivery._outbox.conditions == {Condition.OFFLINE: "the broker is away"}

    play(story)


def test_a_birth_names_the_key_and_the_rules_of_now(play: Callable[[Story], None]) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        def said() -> dict[str, str]:
            found: dict[str, str] = json.loads(parts.outgoing.birth())
            return found

        assert (said()["key"], said()["rules"]) == (parts.signer.public_key.hex(), "")
        still.site.offer()
        await parts.content.start()
        assert said()["rules"] == parts.content.chosen.digest != ""

    play(story)
