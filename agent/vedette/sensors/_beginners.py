"""Who began a TCP connection, from the kernel's tracepoint of socket states, read through perf.

For connections that are over before their owner can be asked: a worm that tries ports closes each
within a tenth of a millisecond. It needs neither eBPF nor BTF, which small kernels lack.

Rule 1: the process is the one that ran when the socket began to connect; the ends are those of the
next change of that socket, when its own port is known.
Rule 2: what two processes claim, such as one of a container with the same addresses, is nobody's;
a claim is taken once.
Rule 3: memory is bounded; claims that nobody took are forgotten, the oldest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from vedette.codec import socket_states
from vedette.codec.socket_states import TCP_SYN_SENT, StateReader
from vedette.errors import ParseError
from vedette.kernel.perf_trace import PerfTrace

MAX_PENDING: Final = 512
MAX_CLAIMS: Final = 1_024

_Ends = tuple[bytes, int, bytes, int]


class Beginners:
    """Reads the tracepoint when asked, and when a ring is half full; made within a running loop.

    Raises:
        OSError: the kernel lacks the tracepoint, tracefs or perf, or does not allow it.
        ParseError: the tracepoint is another than the one we know.
    """

    def __init__(self) -> None:
        self._trace = PerfTrace(socket_states.TRACEPOINT, socket_states.FILTER)
        try:
            self._reader = StateReader(self._trace.fields)
        except ParseError:
            self._trace.close()
            raise
        self._pending: dict[int, int] = {}
        self._claims: dict[_Ends, int] = {}
        self._counts = dict.fromkeys(("begun", "begun_unreadable"), 0)
        for fd in self._trace.fds:
            asyncio.get_running_loop().add_reader(fd, self.look)

    def counters(self) -> Mapping[str, int]:
        """Connections whose beginner was told, and what was lost of them."""
        return {**self._counts, "begun_lost": self._trace.lost}

    def look(self) -> None:
        """Read what the kernel told since the last look."""
        try:
            samples = self._trace.read()
        except ParseError:
            self._counts["begun_unreadable"] += 1
            return
        for sample in samples:
            try:
                change = self._reader.read(sample.raw)
            except ParseError:
                self._counts["begun_unreadable"] += 1
                continue
            if change.after == TCP_SYN_SENT:
                self._pending[change.socket] = sample.pid
                _bound(self._pending, MAX_PENDING)
            elif pid := self._pending.pop(change.socket, 0):
                self._claim(
                    (change.local, change.local_port, change.remote, change.remote_port), pid
                )

    def take(self, ends: _Ends) -> int:
        """The pid of who began the connection with these ends, 0 where that is not known.

        Args:
            ends: address and port of who began it, then those of the other end.
        """
        return self._claims.pop(ends, 0)

    def close(self) -> None:
        """Read no more. Safe to call twice."""
        for fd in self._trace.fds:
            asyncio.get_running_loop().remove_reader(fd)
        self._trace.close()

    def _claim(self, ends: _Ends, pid: int) -> None:
        self._counts["begun"] += 1
        others = self._claims.pop(ends, pid)
        self._claims[ends] = pid if others == pid else 0
        _bound(self._claims, MAX_CLAIMS)


def _bound(known: dict[int, int] | dict[_Ends, int], most: int) -> None:
    if len(known) > most:
        del known[next(iter(known))]  # type: ignore[arg-type]
