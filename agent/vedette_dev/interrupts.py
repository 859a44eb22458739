"""SIGINT and SIGTERM end a command of the workbench in order, whoever started it.

Rule 1: also where a shell started it with `&`, which has it ignore SIGINT (POSIX.1-2017, XCU 2.11).
Rule 2: the first one interrupts; what comes while things are put back only hears that this is done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_BOTH = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def one_interrupt(said: str) -> Iterator[None]:
    """The first SIGINT or SIGTERM raises KeyboardInterrupt here; for the main thread.

    Args:
        said: to whoever sends a further one: what is being done, and how long it may take.
    """

    def again(_number: int, _frame: FrameType | None) -> None:
        os.write(2, f"\n{said}\n".encode())

    def first(number: int, frame: FrameType | None) -> None:
        for each in _BOTH:
            signal.signal(each, again)
        raise KeyboardInterrupt(number, frame)

    before = {each: signal.signal(each, first) for each in _BOTH}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
