"""A configuration that is read again is applied wholly or not at all, and never ends the agent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.sources import source, tier
from tests.simulators.still_parts import StillParts
from tests.system._site import rule

from vedette.daemon import config as configuration
from vedette.daemon.notify import Notifier
from vedette.daemon.parts import Parts
from vedette.errors import ConfigError, StoreError, TrustError
from vedette.model.event import EventClass
from vedette.model.rule import Match
from vedette.store.shelf import FileShelf

RULE = rule("one", "process_creation", Match("Image", "endswith", "/one", False))
SOURCE = source("procfs", tier(EventClass.PROCESS, "procfs", 10))

Story = Callable[[StillParts, Parts], Coroutine[Any, Any, None]]


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StillParts:
    SOURCE.life.clear()
    return StillParts(tmp_path, monkeypatch, SOURCE)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's ear (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(str(tmp_path / "notify"))
        yield ear


def play(still: StillParts, story: Story) -> None:
    """A device that watches by rules, whose configuration is read again in the story."""

    async def run() -> None:
        still.site.offer(RULE)
        async with still.open() as parts:
            await parts.content.start()
            await parts.sensing.open()
            await story(still, parts)
            await parts.sensing.close()

    asyncio.run(run())


def said(manager: socket.socket) -> list[str]:
    """First words of what the manager was told since it was asked."""
    words = []
    while True:
        try:
            words.append(manager.recv(4096).decode().partition("\n")[0])
        except BlockingIOError:
            return words


def nonsense(still: StillParts) -> None:
    still.site.write_config("[drill]\nevery_m = 3.5")


def another_device(still: StillParts) -> None:
    text = still.site.config.read_text()
    still.site.config.write_text(text.replace('id = "site"', 'id = "other"'))


def no_trust(still: StillParts) -> None:
    still.site.folder.joinpath("trust.json").write_bytes(b"{}")


REFUSED = {
    "a mistake": (nonsense, ConfigError, "every_m"),
    "what a restart alone can change": (another_device, ConfigError, "only a restart"),
    "a trust document that nobody signed": (no_trust, TrustError, "trust document"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_all_as_it_was_and_is_told(
    name: str, still: StillParts, manager: socket.socket
) -> None:
    spoil, error, words = REFUSED[name]

    async def story(still: StillParts, parts: Parts) -> None:
        config, sources, rules = parts.config, parts.sensing.ladder, parts.content.chosen.digest
        parts.notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        spoil(still)
        with pytest.raises(error, match=words):
            await parts.reloading.reload()
        assert (parts.config, parts.sensing.ladder) == (config, sources)
        assert parts.content.chosen.digest == rules
        assert said(manager) == ["RELOADING=1", "READY=1"]
        ((condition, reason),) = still.findings()
        assert condition == "reload-refused"
        assert words in reason
        assert not await still.noted("reload")

    play(still, story)


def test_what_changed_is_applied_and_noted(still: StillParts, manager: socket.socket) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        parts.notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        before = parts.sensing.ladder
        still.site.write_config("[sensors.procfs]\nperiod_s = 7")
        assert await parts.reloading.reload() == ("sensors", "rules re-read")
        assert parts.config == configuration.load(still.site.config)
        assert parts.sensing.ladder is not before
        assert SOURCE.life == ["open procfs", "close procfs", "open procfs"]
        assert said(manager) == ["RELOADING=1", "READY=1"]
        (entry,) = await still.noted("reload")
        assert b'"sensors"' in entry.draft.body

    play(still, story)


def test_new_rules_alone_leave_the_sources_open(still: StillParts) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        before = parts.content.chosen.digest
        still.site.offer(RULE)
        assert await parts.reloading.reload() == ("rules re-read",)
        assert parts.content.chosen.digest != before
        assert SOURCE.life == ["open procfs"]

    play(still, story)


def test_a_disk_that_gives_nothing_is_told_and_ends_nothing(
    still: StillParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise StoreError("the disk gives nothing (simulated)")

    async def story(still: StillParts, parts: Parts) -> None:
        config = parts.config
        still.site.write_config("[sensors.procfs]\nperiod_s = 7")
        with monkeypatch.context() as broken:
            broken.setattr(FileShelf, "load", refuse)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(parts.reloading.run())
                parts.reloading.ask()
                await until(lambda: bool(still.findings()))
                running.cancel()
        assert still.findings() == [("reload-refused", "the disk gives nothing (simulated)")]
        assert parts.config == config
        assert await parts.reloading.reload() == ("sensors", "rules re-read")

    play(still, story)


def test_who_is_refused_does_not_end_what_others_ask_for(still: StillParts) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(parts.reloading.run())
            nonsense(still)
            parts.reloading.ask()
            await until(lambda: len(still.findings()) == 1)
            still.site.write_config("[sensors.procfs]\nperiod_s = 7")
            parts.reloading.ask()
            await until(lambda: bool(parts.config.sensors.options))
            running.cancel()

    play(still, story)


def test_who_asks_meanwhile_has_his_own_read_after_it(still: StillParts) -> None:
    async def story(still: StillParts, parts: Parts) -> None:
        is_first = True
        choose = parts.content.choose

        async def choose_and_change() -> None:
            nonlocal is_first
            if is_first:
                is_first = False
                still.site.write_config("[sensors.procfs]\nperiod_s = 7")
            await choose()

        parts.content.choose = choose_and_change  # type: ignore[method-assign]
        both = await asyncio.gather(parts.reloading.reload(), parts.reloading.reload())
        assert list(both) == [("rules re-read",), ("sensors", "rules re-read")]

    play(still, story)


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - any part may make it true
            await asyncio.sleep(0.001)
