"""An nftables table that stands while at least one order needs it.

Rule 1: each order claims elements of the table's sets, and one is there as long as any claims it.
Rule 2: the kernel takes elements out by itself SLACK_S after their order's time: what the agent
does not live to undo ends all the same. Whoever asks whether an order holds renews it.
Rule 3: a table that was changed by somebody is replaced by ours, with all that is claimed.
Rule 4: what a killed instance left is removed, never taken over: what has to hold is done again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from vedette.codec import nf_tables
from vedette.codec.nf_tables import Element, Table
from vedette.kernel import own_table
from vedette.kernel.own_table import OwnTable

SLACK_S = 300.0
"""More than the agent lets pass between two looks at what holds."""

Key = tuple[str, bytes]


class _Claim(NamedTuple):
    keys: tuple[Key, ...]
    lasts_s: float
    until_s: float


class HeldTable:
    """Holds elements for orders.

    Args:
        table: what stands while there is an order.
        run_dir: where the note of it goes (kernel/own_table.py).
        needs: kernel options beside those every table needs, for messages.
        clock: seconds of running time.
    """

    def __init__(
        self,
        table: Table,
        run_dir: Path,
        needs: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table, self._run_dir, self._needs = table, run_dir, needs
        self._clock = clock
        self._claims: dict[str, _Claim] = {}
        self._own: OwnTable | None = None
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """The kernel removes what an instance held that nobody ended, as at its process's end."""
        if self._own is not None:
            self._own.abandon()

    def unavailable(self) -> str:
        """Why this kernel does not take the table and what would lift that, or ""; by trial."""
        try:
            trial = OwnTable(self._table, self._run_dir)
            try:
                trial.check()
            finally:
                trial.abandon()
        except OSError as error:
            return self.reason(error)
        return ""

    def reason(self, error: OSError) -> str:
        """What the kernel's refusal means, and what would lift it."""
        return own_table.reason(self._table.name, error, self._needs)

    def hold(self, order_id: str, keys: Iterable[Key], lasts_s: float) -> None:
        """Have these elements in their sets until the order is released, or claims others.

        Args:
            order_id: who claims them.
            keys: (set, key).
            lasts_s: the order's time; 0 without end.

        Raises:
            OSError: the kernel refuses; nothing of it holds.
        """
        with self._lock:
            before = self._claims.get(order_id)
            self._claims[order_id] = self._claim(tuple(keys), lasts_s)
            try:
                self._put(order_id)
            except OSError:
                self._forget(order_id, before)
                raise
            if before is not None and self._own is not None:
                self._take_out(self._own, before)

    def release(self, order_id: str) -> None:
        """Take out what nobody else claims; with the last order the table goes.

        Raises:
            OSError: the kernel refuses.
        """
        with self._lock:
            claim = self._claims.pop(order_id, None)
            if not self._claims:
                self._end()
            elif claim is not None and self._own is not None:
                self._take_out(self._own, claim)

    def holds(self, order_id: str) -> bool:
        """Whether all that the order claims is in force; what is soon over is renewed."""
        with self._lock:
            claim = self._claims.get(order_id)
            if claim is None or self._own is None:
                return False
            with contextlib.suppress(OSError):
                if self._own.is_intact() and all(map(self._own.has, self._elements(claim.keys))):
                    self._renew(order_id, claim)
                    return True
            return False

    def _claim(self, keys: tuple[Key, ...], lasts_s: float) -> _Claim:
        return _Claim(keys, lasts_s, self._clock() + lasts_s + SLACK_S if lasts_s else 0.0)

    def _put(self, order_id: str) -> None:
        if self._own is None:
            self._own = OwnTable(self._table, self._run_dir)
        if not self._own.is_intact():
            every = dict.fromkeys(key for claim in self._claims.values() for key in claim.keys)
            self._own.make(self._elements(every))
            return
        self._replace(self._own, self._claims[order_id].keys)

    def _replace(self, own: OwnTable, keys: tuple[Key, ...]) -> None:
        """Put elements in with their newest time; one that is there would keep its old one."""
        elements = self._elements(keys)
        name = self._table.name
        there = [element for element in elements if own.has(element)]
        try:
            own.change(*nf_tables.remove(name, there), *nf_tables.add(name, elements))
        except FileNotFoundError:  # its time ended between the question and now
            own.change(*nf_tables.add(name, elements))

    def _renew(self, order_id: str, claim: _Claim) -> None:
        if claim.until_s and claim.until_s - self._clock() < SLACK_S and self._own is not None:
            self._claims[order_id] = self._claim(claim.keys, claim.lasts_s)
            self._replace(self._own, claim.keys)

    def _elements(self, keys: Iterable[Key]) -> list[Element]:
        return [Element(set_name, key, self._timeout_s((set_name, key))) for set_name, key in keys]

    def _timeout_s(self, key: Key) -> float:
        """Until the last of those who claim it; 0 where one of them has no end."""
        until = [claim.until_s for claim in self._claims.values() if key in claim.keys]
        if not until or 0.0 in until:
            return 0.0
        return max(max(until) - self._clock(), 1.0)

    def _take_out(self, own: OwnTable, claim: _Claim) -> None:
        wanted = {key for other in self._claims.values() for key in other.keys}
        for element in self._elements(key for key in claim.keys if key not in wanted):
            with contextlib.suppress(FileNotFoundError):
                own.change(*nf_tables.remove(self._table.name, [element]))

    def _forget(self, order_id: str, before: _Claim | None) -> None:
        del self._claims[order_id]
        if before is not None:
            self._claims[order_id] = before
        elif not self._claims:
            with contextlib.suppress(OSError):
                self._end()

    def _end(self) -> None:
        own, self._own = self._own, None
        if own is None:
            own_table.restore(self._table.name, self._run_dir)
            return
        try:
            own.remove()
        finally:
            own.abandon()
