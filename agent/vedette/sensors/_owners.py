"""Which process holds a socket: inode to pid by the descriptors below /proc.

Rule 1: one walk serves a whole batch; processes that owned connections lately come first, then the
newest ones.
Rule 2: the work is bounded by the number of descriptors looked at, per batch and per second: a
search that fails walks everything, and short-lived connections make it fail on purpose. The few
likeliest processes have a budget of their own, so that failures do not cost the cheap hits.
Rule 3: what was not found is None, never a guess; hits and misses are counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

LINKS_PER_BATCH = 1_000
"""8 ms on the bench (8.4 µs a readlink), so that other sources of the loop need not wait longer."""

WIDE_LINKS_PER_SECOND = 4_000
"""For walks through all processes: 4 % of a core, however many connections die young."""

LIKELY_LINKS_PER_SECOND = 8_000
"""For the likeliest processes: 8 % of a core in a storm, some 1,500 owners."""

NEWEST_PIDS = 4
RECENT_PIDS = 32
KNOWN_SOCKETS = 512


class OwnerFinder:
    """Finds owners and remembers where it found them."""

    def __init__(self) -> None:
        self._recent: dict[int, None] = {}
        self._known: dict[int, tuple[int, str]] = {}
        self._second = 0
        self._wide_left = WIDE_LINKS_PER_SECOND
        self._likely_left = LIKELY_LINKS_PER_SECOND
        self.counts = dict.fromkeys(("owner_sought", "owner_found", "owner_skipped"), 0)

    def find(self, inodes: Iterable[int], at_s: float) -> dict[int, int]:
        """Pids by inode, for those sockets whose holder was found.

        Args:
            inodes: of sockets; 0 is ignored.
            at_s: CLOCK_BOOTTIME seconds, for the budget.
        """
        wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
        self.counts["owner_sought"] += len(wanted)
        found = dict(self._recall(wanted))
        if wanted:
            self._walk(wanted, found, at_s)
        self.counts["owner_found"] += len(found)
        return found

    def _recall(self, wanted: dict[str, int]) -> Iterator[tuple[int, int]]:
        """Sockets whose place is known and still holds them (listeners, mostly)."""
        for link, inode in list(wanted.items()):
            known = self._known.get(inode)
            if known is None:
                continue
            if _read_link(known[1]) == link:
                del wanted[link]
                yield inode, known[0]
            else:
                del self._known[inode]

    def _walk(self, wanted: dict[str, int], found: dict[int, int], at_s: float) -> None:
        if int(at_s) != self._second:
            self._second = int(at_s)
            self._wide_left = WIDE_LINKS_PER_SECOND
            self._likely_left = LIKELY_LINKS_PER_SECOND
        # Strings throughout: a Path object costs more than the readlink it would wrap.
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
        newest = sorted(pids, reverse=True)
        likely = list(dict.fromkeys([*reversed(self._recent), *newest[:NEWEST_PIDS]]))
        self._likely_left -= self._try(likely, wanted, found, self._likely_left)
        if wanted:
            others = [pid for pid in newest[NEWEST_PIDS:] if pid not in self._recent]
            self._wide_left -= self._try(others, wanted, found, self._wide_left)

    def _try(
        self, pids: Iterable[int], wanted: dict[str, int], found: dict[int, int], left: int
    ) -> int:
        """Look through processes until all is found or the budget is spent; returns the cost."""
        budget = min(LINKS_PER_BATCH, left)
        cost = 0
        for pid in pids:
            if not wanted:
                break
            if cost >= budget:
                self.counts["owner_skipped"] += len(wanted)
                break
            cost += self._search(pid, wanted, found, budget - cost)
        return cost

    def _search(self, pid: int, wanted: dict[str, int], found: dict[int, int], budget: int) -> int:
        """Look through one process; returns what it cost in descriptors, at least one."""
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            self._recent.pop(pid, None)  # it ended, or is not ours to read
            return 1
        cost = 1
        for name in reversed(names[-budget:]):
            cost += 1
            path = f"{folder}/{name}"
            inode = wanted.pop(_read_link(path), 0)
            if inode:
                found[inode] = pid
                self._remember(pid, inode, path)
                if not wanted:
                    break
        return cost

    def _remember(self, pid: int, inode: int, path: str) -> None:
        self._recent.pop(pid, None)
        self._recent[pid] = None
        self._known[inode] = (pid, path)
        if len(self._recent) > RECENT_PIDS:
            del self._recent[next(iter(self._recent))]
        if len(self._known) > KNOWN_SOCKETS:
            del self._known[next(iter(self._known))]


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""  # closed between listing and reading
