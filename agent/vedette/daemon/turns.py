"""Long work in short turns: what would hold the loop up runs a slice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

Result = TypeVar("Result")


async def in_turns(work: Generator[object, None, Result]) -> Result:
    """Do a slice each time the loop comes round, so that sensors are read in between.

    Raises:
        Whatever the work raises.
    """
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        await asyncio.sleep(0)


def from_thread(
    work: Callable[[bytes], Generator[object, None, Result]], loop: asyncio.AbstractEventLoop
) -> Callable[[bytes], Result]:
    """A function for a thread that lets the loop do the work in turns, and waits for its result.

    Python code in a second thread would hold the interpreter for 5 ms each time the loop wants it,
    and for longer where the machine is busy; a thread that waits holds nothing. Never to be called
    in the loop's own thread, which would wait for itself.
    """

    def run(data: bytes) -> Result:
        return asyncio.run_coroutine_threadsafe(in_turns(work(data)), loop).result()

    return run
