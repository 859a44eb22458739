"""Whether a device stands still: neither its console nor its disk has moved for so long; pure.

A kernel that is told to be quiet says nothing from its loader to its root shell; it reads its disk.
A device whose watchdog is armed resets itself where it hangs: only before that can it stand still.
"""

from __future__ import annotations

import re

_DONE = re.compile(r"(?:rd|wr|flush)_operations=(\d+)")


class Stillness:
    """Looks at signs of life.

    Args:
        limit_s: for how long nothing may move.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._signs: tuple[int, ...] = ()
        self._since_s = 0.0

    def look(self, now_s: float, console_bytes: int, block_stats: str) -> bool:
        """Take what is seen now; returns whether it stands still.

        Args:
            now_s: of a monotonic clock.
            console_bytes: that it has said.
            block_stats: what QEMU's `info blockstats` says; "" where its monitor does not answer:
                at first QEMU itself starts, later it is no sign of life.
        """
        done = tuple(map(int, _DONE.findall(block_stats))) or self._signs[1:]
        if not done:
            return False
        signs = (console_bytes, *done)
        if signs != self._signs:
            self._signs, self._since_s = signs, now_s
        return now_s - self._since_s >= self._limit_s
