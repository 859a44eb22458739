"""Signals as calls in the event loop.

As loop.add_signal_handler does it (a wake-up descriptor, so that a signal that comes just before
the loop sleeps is not missed), but without the `inspect` that it loads: 1.1 MB in each process
that stays (daemon/lean.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")

_MAX_BYTES = 256
"""Read at once; of equal signals that wait one is enough, and the kernel merges them too."""


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """asyncio.run for a process that hears its signals by `heard`: SIGINT is ignored before it.

    Where SIGINT still has Python's own handler asyncio puts one there that names its task, and
    whoever replaces that one (`signal._int_to_enum`) has the task put into words: `inspect`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return asyncio.run(main)


@contextlib.contextmanager
def heard(actions: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """Call actions in the running loop when their signals come; only in the main thread.

    Args:
        actions: by signal number. At the end each signal has its former handler.
    """
    loop = asyncio.get_running_loop()
    ear, mouth = socket.socketpair()
    with ear, mouth:
        ear.setblocking(False)
        mouth.setblocking(False)
        loop.add_reader(ear, _act, ear, actions)
        former_fd = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        former = {number: signal.signal(number, _note) for number in actions}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(former_fd)
            loop.remove_reader(ear)


def _note(number: int, frame: object) -> None:
    """A handler must stand, or the signal would end the process; the descriptor carries it."""


def _act(ear: socket.socket, actions: Mapping[int, Callable[[], object]]) -> None:
    # The descriptor tells of every signal with a handler, also of those that are not ours.
    for number in dict.fromkeys(ear.recv(_MAX_BYTES)):
        if number in actions:
            actions[number]()
