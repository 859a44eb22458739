"""Notices one source trying many ports of a host, or one port on many hosts.

Rule 1: bounded state: MAX_SOURCES windows of WINDOW_S, each with at most MAX_DISTINCT targets; the
window unused for longest goes first.
Rule 2: a sweep is told once per doubling of its size, so that a fast scan costs few judgements.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

from vedette.model.event import ConnectionOpened

WINDOW_S = 10.0
FIRST_COUNT = 16
"""Browsers open a dozen connections to one host, but to one or two ports of it."""
MAX_DISTINCT = 4096
MAX_SOURCES = 512


class Sweep(NamedTuple):
    """Many distinct targets within WINDOW_S; `pid` is 0 where no connection showed its owner."""

    kind: Literal["ports", "hosts"]
    distinct: int
    connection: ConnectionOpened
    pid: int


class _Window:
    __slots__ = ("began_s", "next_count", "pid", "targets")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.targets: set[str | int] = set()
        self.next_count = FIRST_COUNT
        self.pid = 0


class SweepWatch:
    """Counts distinct targets by source."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[str, str, str | int], _Window] = OrderedDict()
        self.evicted = 0

    def observe(self, connection: ConnectionOpened) -> list[Sweep]:
        """Count a connection; returns the sweeps it completes (none, one or two)."""
        source, destination = connection.source_ip, connection.destination_ip
        port = connection.destination_port
        found = [
            self._count("ports", (source, "ports", destination), port, connection),
            self._count("hosts", (source, "hosts", port), destination, connection),
        ]
        return [sweep for sweep in found if sweep is not None]

    def _count(
        self,
        kind: Literal["ports", "hosts"],
        key: tuple[str, str, str | int],
        target: str | int,
        connection: ConnectionOpened,
    ) -> Sweep | None:
        window = self._windows.get(key)
        if window is None or connection.at_s - window.began_s > WINDOW_S:
            window = _Window(connection.at_s)
            self._windows[key] = window
            if len(self._windows) > MAX_SOURCES:
                self._windows.popitem(last=False)
                self.evicted += 1
        self._windows.move_to_end(key)
        if len(window.targets) < MAX_DISTINCT:
            window.targets.add(target)
        window.pid = connection.pid or window.pid
        if len(window.targets) < window.next_count:
            return None
        window.next_count *= 2
        return Sweep(kind, len(window.targets), connection, window.pid)
