"""Gives directory handles their paths and remembers which of them matter.

Rule 1: bounded; what is put out is counted and costs one look-up when it comes again.
Rule 2: a path is only as old as the last rename that was read: a renamed directory takes the
entries of its subtree with it, a removed one is forgotten after its batch (its last events, merged
by the kernel, may stand before or after its removal).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vedette.sensors._trees import Place

GONE: Final = Place("", frozenset(), frozenset())
"""The directory was removed before its name could be read."""

DIRECTORIES_MAX: Final = 8192
"""About 250 bytes each: 2 MB when full."""

SWEEPS_PER_BATCH: Final = 8
"""A storm of directory renames would sweep the cache for each: after these it is emptied."""


class Directories:
    """A bounded cache from directory key to what matters there (None: nothing).

    Args:
        resolve: the present path of a key, or None when the directory is gone.
        place: what matters in a directory, by its path.
    """

    def __init__(
        self,
        resolve: Callable[[bytes], str | None],
        place: Callable[[str], Place | None],
        limit: int = DIRECTORIES_MAX,
    ) -> None:
        self._resolve = resolve
        self._place = place
        self._limit = limit
        self._known: dict[bytes, Place | None] = {}
        self._removed: list[bytes] = []
        self._sweeps = 0
        self.evicted = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: bytes) -> Place | None:
        """What matters in a directory; GONE when nobody can know."""
        try:
            return self._known[key]
        except KeyError:
            pass
        self.misses += 1
        path = self._resolve(key)
        if path is None:
            return GONE
        return self._keep(key, self._place(path))

    def path_of(self, key: bytes) -> str | None:
        """The path of a directory that need not matter, with a slash at the end."""
        place = self._known.get(key)
        if place is not None:
            return place.prefix
        path = self._resolve(key)
        if path is None:
            return None
        return path if path.endswith("/") else path + "/"

    def learn(self, key: bytes, path: str) -> None:
        """Remember where a directory was just seen to come into being."""
        if key:
            self._keep(key, self._place(path))

    def learn_unwatched(self, key: bytes) -> None:
        """Remember that nothing matters in a directory made where nothing matters."""
        if key:
            self._keep(key, None)

    def removed(self, key: bytes) -> None:
        """Forget this directory at the end of the batch."""
        if key:
            self._removed.append(key)

    def moved(self, old_path: str, *, came_in: bool) -> None:
        """Forget all paths at and below a directory's old place.

        Args:
            old_path: where it was, without a slash at the end.
            came_in: it came from where nothing matters, so what was known of that is void too.
        """
        self._sweeps += 1
        if self._sweeps > SWEEPS_PER_BATCH:
            self._known.clear()
            return
        below = old_path + "/"
        stale = [
            key
            for key, place in self._known.items()
            if (came_in if place is None else place.prefix.startswith(below))
        ]
        for key in stale:
            del self._known[key]

    def end_batch(self) -> None:
        """Do what waited for the end of the batch."""
        for key in self._removed:
            self._known.pop(key, None)
        self._removed.clear()
        self._sweeps = 0

    def clear(self) -> None:
        """Forget everything: the trees or the mounts are others now."""
        self._known.clear()

    def _keep(self, key: bytes, place: Place | None) -> Place | None:
        known = self._known
        if key not in known and len(known) >= self._limit:
            del known[next(iter(known))]
            self.evicted += 1
        known[key] = place
        return place
