"""Which name an address was asked by: hints from DNS answers to this host's own queries.

Rule 1: a hint names an address for its TTL, at least MIN_TTL_S: programs keep addresses longer.
Rule 2: bounded; the oldest hint goes first and evictions are counted.
Rule 3: connection and answer come by different ways, so a hint may come after the connection it
explains; connections without a name are kept for LATE_S to be judged again.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from vedette.model.event import ConnectionOpened, NameResolved

MAX_NAMES = 4096
MIN_TTL_S = 60.0
MAX_TTL_S = 86_400.0
LATE_S = 2.0
MAX_LATE = 256


class Names:
    """Address to name, and the connections that still wait for one."""

    def __init__(self, limit: int = MAX_NAMES) -> None:
        self._limit = limit
        self._names: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._nameless: deque[ConnectionOpened] = deque(maxlen=MAX_LATE)
        self.evicted = 0

    def learn(self, event: NameResolved) -> list[ConnectionOpened]:
        """Remember a hint; returns recent connections to this address that had no name yet."""
        kept_s = min(max(float(event.ttl_s), MIN_TTL_S), MAX_TTL_S)
        self._names[event.address] = (event.name, event.at_s + kept_s)
        self._names.move_to_end(event.address)
        if len(self._names) > self._limit:
            self._names.popitem(last=False)
            self.evicted += 1
        late = [c for c in self._nameless if self._explains(event, c)]
        for connection in late:
            self._nameless.remove(connection)
        return late

    def name_of(self, connection: ConnectionOpened) -> str:
        """The name its destination was asked by, or ""; an unnamed one may be judged again."""
        known = self._names.get(connection.destination_ip)
        if known is not None and known[1] >= connection.at_s:
            return known[0]
        self._nameless.append(connection)
        return ""

    def _explains(self, event: NameResolved, connection: ConnectionOpened) -> bool:
        is_recent = abs(event.at_s - connection.at_s) <= LATE_S
        return is_recent and connection.destination_ip == event.address
