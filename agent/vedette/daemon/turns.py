"""Long work in short turns: what would hold the loop up runs a slice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
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


def in_loop(work: Generator[object, None, Result], loop: asyncio.AbstractEventLoop) -> Result:
    """Let the loop do the work in turns, and wait for its result in a thread of one's own.

    Python code in a second thread would hold the interpreter for 5 ms each time the loop wants it
    (sys.getswitchinterval), and for longer on a busy machine; a thread that waits holds nothing.
    Never to be called in the loop's thread, which would wait for itself.

    Raises:
        Whatever the work raises.
    """
    return asyncio.run_coroutine_threadsafe(in_turns(work), loop).result()
