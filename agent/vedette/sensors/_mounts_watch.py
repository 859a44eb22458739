"""Tells when something was mounted or unmounted, at no cost while nothing is.

mountinfo is always readable and says a change by EPOLLPRI (proc(5)). The loop waits for readability
only, so an epoll descriptor of our own, which becomes readable then, stands between.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from typing import Final

from vedette.sensors._filesystems import MOUNTINFO

MOUNT_PAUSE_S: Final = 0.5  # containers mount in bursts


class MountsWatch:
    """Calls back, at most twice a second, after the mounts of this namespace changed.

    Raises:
        OSError: /proc is not mounted, or there are no descriptors left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], object]) -> None:
        self._loop = loop
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self._file = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)
        loop.add_reader(self._epoll.fileno(), self._readable)

    def close(self) -> None:
        """Stop calling back."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._file)

    def _readable(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._timer = self._loop.call_later(MOUNT_PAUSE_S, self._due)

    def _due(self) -> None:
        self._epoll.poll(0)
        self._loop.add_reader(self._epoll.fileno(), self._readable)
        self._changed()
