"""Work in turns: others get theirs in between, and a thread may wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from vedette.daemon.turns import in_loop, in_turns
from vedette.errors import ParseError


def work(done: list[str], *, fails: bool = False) -> Generator[None, None, str]:
    for number in range(3):
        done.append(f"slice {number}")
        yield
    if fails:
        raise ParseError("expected more")
    return "result"


async def note_turns(done: list[str]) -> None:
    while True:
        done.append("other")
        await asyncio.sleep(0)


def test_others_have_their_turn_between_two_slices() -> None:
    done: list[str] = []

    async def play() -> str:
        other = asyncio.get_running_loop().create_task(note_turns(done))
        try:
            return await in_turns(work(done))
        finally:
            other.cancel()

    assert asyncio.run(play()) == "result"
    assert done[:5] == ["slice 0", "other", "slice 1", "other", "slice 2"]


def test_a_thread_waits_for_what_the_loop_does_and_gets_its_errors() -> None:
    async def play(*, fails: bool) -> str:
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(lambda: in_loop(work([], fails=fails), loop))

    assert asyncio.run(play(fails=False)) == "result"
    with pytest.raises(ParseError, match="expected more"):
        asyncio.run(play(fails=True))
