"""The sources of a configuration: opened, changed and closed in an order that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.sources import Simulated, source, tier
from tests.simulators.still_parts import StillParts

from vedette.core.inputs import Observed
from vedette.daemon import config as configuration
from vedette.daemon.parts import Parts
from vedette.errors import SensorError
from vedette.model.event import EventClass, TierChanged
from vedette.sensors.scan import ScanSensor

PROCESS = EventClass.PROCESS

Story = Callable[[StillParts, Parts], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Plays a story with sources of its own."""

    def run(story: Story, *sources: type[Simulated]) -> None:
        async def open_and_play() -> None:
            still = StillParts(tmp_path, monkeypatch, *sources)
            async with still.open() as parts:
                await story(still, parts)

        asyncio.run(open_and_play())

    return run


def changes(still: StillParts) -> list[tuple[str, str]]:
    """What the core was told of sources: before and after."""
    return [
        (event.previous, event.tier)
        for told in still.told()
        if isinstance(told, Observed)
        for event in told.events
        if isinstance(event, TierChanged) and event.event_class is PROCESS
    ]


def watching(parts: Parts) -> dict[EventClass, str]:
    return {found.event_class: found.tier.name for found in parts.sensing.reports() if found.tier}


def test_nothing_is_opened_by_being_made(play: Callable[..., None]) -> None:
    good = source("good", tier(PROCESS, "good", 80))

    async def story(still: StillParts, parts: Parts) -> None:
        assert (good.life, watching(parts)) == ([], {})

    play(story, good)


def test_what_watches_is_told_and_a_scan_follows(play: Callable[..., None]) -> None:
    good = source("good", tier(PROCESS, "good", 80))

    async def story(still: StillParts, parts: Parts) -> None:
        asked: list[tuple[str, bool, dict[EventClass, str]]] = []
        parts.scanning.request = (  # type: ignore[method-assign]
            lambda reason, *, is_urgent=False: asked.append((reason, is_urgent, watching(parts)))
        )
        await parts.sensing.open()
        assert changes(still) == [("", "good")]
        assert asked == [("the sources are open", True, {PROCESS: "good"})]

    play(story, good)


def test_a_device_on_which_nothing_works_starts_all_the_same(play: Callable[..., None]) -> None:
    bad = source("bad", tier(PROCESS, "bad", 80), cannot_open="no kernel support")

    async def story(still: StillParts, parts: Parts) -> None:
        await parts.sensing.open()
        assert watching(parts) == {}
        assert parts.sensing.reports()[0].failures == (("bad", "no kernel support"),)

    play(story, bad)


def test_all_are_closed_before_the_first_is_opened_again(play: Callable[..., None]) -> None:
    life: list[str] = []
    one = source("one", tier(PROCESS, "one", 80), life=life)
    two = source("two", tier(EventClass.FILE, "two", 80), life=life)

    async def story(still: StillParts, parts: Parts) -> None:
        await parts.sensing.open()
        before = parts.sensing.ladder
        await parts.sensing.change()
        assert parts.sensing.ladder is not before
        assert sorted(life[:2]) == ["open one", "open two"]
        assert sorted(life[2:4]) == ["close one", "close two"]
        assert sorted(life[4:]) == ["open one", "open two"]

    play(story, one, two)


def test_a_change_follows_the_configuration_of_now(play: Callable[..., None]) -> None:
    audit = source("audit", tier(PROCESS, "audit", 80))
    procfs = source("procfs", tier(PROCESS, "procfs", 10))

    async def story(still: StillParts, parts: Parts) -> None:
        await parts.sensing.open()
        assert watching(parts) == {PROCESS: "audit"}
        still.site.write_config('[sensors]\ndisable = ["audit"]')
        parts.config = configuration.load(still.site.config)
        await parts.sensing.change()
        assert watching(parts) == {PROCESS: "procfs"}
        assert audit.life == ["open audit", "close audit"]

    play(story, audit, procfs)


def test_our_processes_are_guarded_by_the_new_sources_too(play: Callable[..., None]) -> None:
    guarded: list[frozenset[int]] = []

    async def guard(_: Simulated, pids: frozenset[int]) -> None:
        guarded.append(pids)

    good = source("good", tier(PROCESS, "good", 80), guard=guard)

    async def story(still: StillParts, parts: Parts) -> None:
        await parts.sensing.open()
        parts.watching.own_pids = frozenset({4711})
        await parts.sensing.change()
        assert guarded == [frozenset(), frozenset({4711})]

    play(story, good)


def test_what_cannot_leave_the_kernel_as_it_was_is_told(play: Callable[..., None]) -> None:
    async def cling(_: Simulated) -> None:
        raise SensorError("the kernel refuses")

    clinging = source("clinging", tier(PROCESS, "clinging", 80), _close=cling)

    async def story(still: StillParts, parts: Parts) -> None:
        await parts.sensing.open()
        await parts.sensing.close()
        assert still.findings() == [("not-restored", "the kernel refuses")]
        await parts.sensing.close()
        assert len(still.findings()) == 1

    play(story, clinging)


def test_the_scan_is_taken_into_use_before_it_is_opened(play: Callable[..., None]) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        scan = ScanSensor(parts.sensing.ladder._make_context("scan"))
        parts.sensing._opened(scan)
        assert parts.scanning.sensor is scan
        assert scan.who == parts.agent.hints.who

    play(story)
