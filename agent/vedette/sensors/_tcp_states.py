"""Who began a TCP connection, and whose handshake is over: from the kernel's tracepoint of states.

It is read through perf and needs neither eBPF nor BTF, which small kernels lack. What closes at
once has its beginner, too: a worm that tries ports closes each within a tenth of a millisecond,
long before anybody could look for the socket's owner.

Rule 1: the process is the one that ran when the socket began to connect; the ends are those of the
next change of that socket, when its own port is known.
Rule 2: what two processes claim, such as one of a container with the same addresses, is nobody's;
what was told is taken once.
Rule 3: memory is bounded; what nobody took is forgotten, the oldest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any, Final, TypeAlias

from vedette.codec import socket_states
from vedette.codec.socket_states import TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYN_SENT, StateReader
from vedette.errors import ParseError
from vedette.kernel.perf_trace import PerfTrace

MAX_PENDING: Final = 512
MAX_TOLD: Final = 1_024

Ends: TypeAlias = tuple[bytes, int, bytes, int]
"""Address and port of who began a connection, then those of the other end."""


class TcpStates:
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
        self._begun: dict[Ends, int] = {}
        self._established: dict[Ends, None] = {}
        self._counts = dict.fromkeys(("begun", "established", "states_unreadable"), 0)
        for fd in self._trace.fds:
            asyncio.get_running_loop().add_reader(fd, self.look)

    def counters(self) -> Mapping[str, int]:
        """Beginners and handshakes told, and what could not be read or had no room."""
        return {**self._counts, "states_lost": self._trace.lost}

    def look(self) -> None:
        """Read what the kernel told since the last look."""
        try:
            samples = self._trace.read()
        except ParseError:
            self._counts["states_unreadable"] += 1
            return
        for sample in samples:
            try:
                self._changed(self._reader.read(sample.raw), sample.pid)
            except ParseError:
                self._counts["states_unreadable"] += 1

    def begun_by(self, ends: Ends) -> int:
        """The pid of who began a connection of this host, 0 where that is not known."""
        return self._begun.pop(ends, 0)

    def is_established(self, ends: Ends) -> bool:
        """Whether the handshake of a connection to this host was seen to be over."""
        is_known = ends in self._established
        if is_known:
            del self._established[ends]
        return is_known

    def close(self) -> None:
        """Read no more. Safe to call twice."""
        for fd in self._trace.fds:
            asyncio.get_running_loop().remove_reader(fd)
        self._trace.close()

    def _changed(self, change: socket_states.StateChange, pid: int) -> None:
        here, there = (change.local, change.local_port), (change.remote, change.remote_port)
        if change.after == TCP_SYN_SENT:
            _remember(self._pending, change.socket, pid, MAX_PENDING)
        elif change.before == TCP_SYN_SENT:
            if pid := self._pending.pop(change.socket, 0):
                self._counts["begun"] += 1
                ends = (*here, *there)
                is_one = self._begun.get(ends, pid) == pid
                _remember(self._begun, ends, pid if is_one else 0, MAX_TOLD)
        elif (change.before, change.after) == (TCP_SYN_RECV, TCP_ESTABLISHED):
            self._counts["established"] += 1
            _remember(self._established, (*there, *here), None, MAX_TOLD)


def _remember(known: dict[Any, Any], key: Hashable, value: int | None, most: int) -> None:
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
