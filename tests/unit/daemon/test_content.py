"""Which signed content is in force: what is offered if it may be, else what was; told after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.still_parts import StillParts
from tests.system._site import rule

from vedette.cli._signing import sealed
from vedette.codec.bundle import PAYLOAD_TYPE
from vedette.core.inputs import RulesLoaded
from vedette.daemon import config as configuration
from vedette.daemon.parts import Parts
from vedette.errors import StoreError, TrustError
from vedette.model.rule import Match
from vedette.store.shelf import FileShelf

FIRST, SECOND = (
    rule(name, "process_creation", Match("Image", "endswith", f"/{name}", False))
    for name in ("first", "second")
)

Story = Callable[[Parts], Coroutine[Any, Any, None]]


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StillParts:
    return StillParts(tmp_path, monkeypatch)


def play(still: StillParts, story: Story) -> None:
    async def run() -> None:
        async with still.open() as parts:
            await story(parts)

    asyncio.run(run())


def loaded(still: StillParts) -> list[list[str]]:
    """The rules of each bundle that the core was given."""
    return [
        [one.rule_id for one in told.bundle.rules]
        for told in still.told()
        if isinstance(told, RulesLoaded)
    ]


def test_what_is_offered_at_the_start_is_in_force_after_it(still: StillParts) -> None:
    still.site.offer(FIRST)

    async def story(parts: Parts) -> None:
        assert parts.content.chosen.content is None
        await parts.content.start()
        assert parts.content.chosen.digest
        assert parts.content.document.version == 1
        assert loaded(still) == [["first"]]
        assert len(await still.noted("rules")) == 1
        assert still.findings() == []

    play(still, story)


def test_a_device_without_rules_says_what_to_do(still: StillParts) -> None:
    async def story(parts: Parts) -> None:
        await parts.content.start()
        ((condition, reason),) = still.findings()
        assert condition == "no-rules"
        assert "put one there" in reason
        assert loaded(still) == []

    play(still, story)


def test_a_device_that_nobody_enrolled_is_told_so_and_trusts_nobody(still: StillParts) -> None:
    still.site.offer(FIRST)
    (still.site.folder / "trust.json").unlink()

    async def story(parts: Parts) -> None:
        await parts.content.start()
        ((condition, reason),) = still.findings()
        assert condition == "no-rules"
        assert "vedette enroll" in reason
        assert parts.content.document.purposes == {}

    play(still, story)


def foreign(still: StillParts) -> None:
    still.site.offer(SECOND, key=still.site.profiles_key)


def older(still: StillParts) -> None:
    still.site.offer(SECOND, counter=1)


def no_bundle(still: StillParts) -> None:
    signed = sealed(PAYLOAD_TYPE, b"signed by the right key, and no bundle", still.site.rules_key)
    still.site.bundle.write_bytes(signed)


def gone(still: StillParts) -> None:
    still.site.bundle.unlink()


@pytest.mark.parametrize("spoil", [foreign, older, no_bundle, gone])
def test_what_is_refused_changes_nothing_and_is_told(
    still: StillParts, spoil: Callable[[StillParts], None]
) -> None:
    still.site.offer(FIRST)

    async def story(parts: Parts) -> None:
        await parts.content.start()
        digest = parts.content.chosen.digest
        spoil(still)
        await parts.content.choose()
        assert parts.content.chosen.digest == digest
        assert all(one == ["first"] for one in loaded(still))
        ((condition, reason),) = still.findings()
        assert condition == "rules-refused"
        assert reason

    play(still, story)


def test_whoever_stands_on_the_rules_is_told_when_they_are_in_force(still: StillParts) -> None:
    still.site.write_config("[deny]\nenabled = true")
    still.site.offer(FIRST)
    seen: list[list[list[str]]] = []

    async def story(parts: Parts) -> None:
        assert parts.exec_holder is not None
        parts.exec_holder.refresh = (  # type: ignore[method-assign]
            lambda: seen.append(loaded(still))
        )
        await parts.content.start()
        still.site.offer(SECOND)
        await parts.content.choose()

    play(still, story)
    assert seen == [[["first"]], [["first"], ["second"]]]


def test_a_trust_document_that_is_refused_leaves_whom_the_device_trusts(
    still: StillParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.site.offer(FIRST)
    config = configuration.load(still.site.config)

    async def story(parts: Parts) -> None:
        await parts.content.start()
        document = parts.content.document
        (still.site.folder / "trust.json").write_bytes(b"{}")
        with pytest.raises(TrustError):
            parts.content.follow(config)
        monkeypatch.setattr(FileShelf, "load", refuse)
        still.site._write_trust()
        with pytest.raises(StoreError):
            parts.content.follow(config)
        monkeypatch.undo()
        assert parts.content.document is document
        await parts.content.choose()
        assert parts.content.chosen.digest

    play(still, story)


def refuse(*_: object) -> bytes:
    raise StoreError("the disk gives nothing (simulated)")
