"""Pieces of an image in memory, a few at a time, with the work that goes on with each of them.

Rule 1: memory is bounded by BUFFERS pieces, whatever the image's size.
Rule 2: each lane is one thread, so its work is done in the order in which it was given; the lanes
run side by side, since hashlib and the system calls release the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self

from vedette.store.slot_file import piece_buffer

BUFFERS = 6
"""Ours: each lane may be one piece behind the other, and the disk two."""

Given = ParamSpec("Given")


class PieceRing:
    """Buffers that come round; use it as a context: at its end no work goes on.

    Args:
        lanes: how many threads.
    """

    def __init__(self, lanes: int) -> None:
        self._buffers = [piece_buffer() for _ in range(BUFFERS)]
        self._work: list[list[Future[object]]] = [[] for _ in range(BUFFERS)]
        self._lanes = [ThreadPoolExecutor(1, f"lane-{number}") for number in range(lanes)]
        self._now = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for lane in self._lanes:
            lane.shutdown(cancel_futures=True)

    def take(self) -> memoryview:
        """The next buffer, whose earlier work is done; what went wrong with that is raised."""
        self._now = (self._now + 1) % BUFFERS
        self._finish(self._now)
        return self._buffers[self._now]

    def give(
        self,
        lane: int,
        work: Callable[Given, object],
        *given: Given.args,
        **named: Given.kwargs,
    ) -> None:
        """Have something done with the buffer that was taken last."""
        self._work[self._now].append(self._lanes[lane].submit(work, *given, **named))

    def drain(self) -> None:
        """Wait until nothing is left to do; what went wrong is raised."""
        for step in range(1, BUFFERS + 1):  # the oldest first: its error is the cause of others
            self._finish((self._now + step) % BUFFERS)

    def _finish(self, number: int) -> None:
        work, self._work[number] = self._work[number], []
        for one in work:
            one.result()
