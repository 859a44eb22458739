"""Makes FileChanged events of fanotify events: which of them matter, and where they happened.

Rule 1: what happens outside the trees costs one dictionary look-up.
Rule 2: events are taken in the kernel's order, so that a path is built from the names its
directories had then; only a directory unknown so far is asked for its present name.
Rule 3: a rename across the edge of the trees is told with both its names.
Rule 4: kernels before 5.17 give a rename in two halves: they are joined when the same pid gave one
after the other; a lone first half is a removal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from vedette.codec.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MOVED_FROM,
    MOVED_TO,
    ONDIR,
    Q_OVERFLOW,
    RENAME,
    FanotifyEvent,
)
from vedette.model.event import Event, EventClass, EventsLost
from vedette.sensors._directories import GONE, Directories
from vedette.sensors._file_events import changes, renamed
from vedette.sensors._trees import Place

TIER: Final = "fanotify"

_MOVED = MOVED_FROM | MOVED_TO
_CHANGES = ATTRIB | CLOSE_WRITE | CREATE | DELETE


class Reader:
    """Takes the events of one batch after another.

    Args:
        resolve: the present path of a directory's key, or None.
        place: what matters in a directory, by its path.
    """

    def __init__(
        self, resolve: Callable[[bytes], str | None], place: Callable[[str], Place | None]
    ) -> None:
        self.directories = Directories(resolve, place)
        self.unwatched = 0
        self.overflows = 0
        self._gone = 0
        self._half: _Half | None = None

    def take(self, event: FanotifyEvent, at_s: float, batch: list[Event]) -> None:
        """Add what an event means to the batch."""
        if event.mask & RENAME:
            self._take_rename(event, at_s, batch)
        elif event.mask & Q_OVERFLOW:
            self.overflows += 1
            reason = "the kernel's fanotify queue was full: scan to find what changed"
            batch.append(EventsLost(at_s, TIER, EventClass.FILE, "kernel", 0, False, reason))
        elif event.directory:
            self._take_entry(event, at_s, batch)
        else:
            self.unwatched += 1  # attributes of a file that has no name any more

    def end_batch(self, at_s: float, batch: list[Event]) -> int:
        """Add what only the end of the batch tells.

        Returns:
            How many events are lost because their directory was gone before its name was read.
        """
        self.directories.end_batch()
        self._flush_half(at_s, batch)
        gone, self._gone = self._gone, 0
        if gone:
            reason = "happened in directories removed before their names could be read"
            batch.append(EventsLost(at_s, TIER, EventClass.FILE, "sensor", gone, True, reason))
        return gone

    def _take_entry(self, event: FanotifyEvent, at_s: float, batch: list[Event]) -> None:
        place = self.directories.find(event.directory)
        if place is None:
            self.unwatched += 1
            if event.mask & ONDIR and event.mask & (CREATE | MOVED_TO):
                self.directories.learn_unwatched(event.target)
            return
        if place is GONE:
            self._gone += 1
            return
        path, mask = _entry(place, event.name, event.mask)
        is_directory = bool(mask & ONDIR)
        if is_directory:
            self._follow(event, path)
        if event.mask & _MOVED:
            self._take_half(event, path, mask, at_s, batch)
        if mask & _CHANGES:
            batch += changes(mask, at_s, TIER, path, event.pid, is_directory=is_directory)
        else:
            self.unwatched += 1

    def _follow(self, event: FanotifyEvent, path: str) -> None:
        """Keep the paths of directories right when one comes, goes or moves."""
        if event.mask & _MOVED:
            self.directories.moved(path, came_in=True)
        if event.mask & (CREATE | MOVED_TO):
            self.directories.learn(event.target, path)
        if event.mask & DELETE:
            self.directories.removed(event.target)

    def _take_rename(self, event: FanotifyEvent, at_s: float, batch: list[Event]) -> None:
        is_directory = bool(event.mask & ONDIR)
        new = self._matters(event.directory, event.name)
        old = self._matters(event.old_directory, event.old_name)
        if not new and not old:
            self.unwatched += 1
            return
        path = self._path(event.directory, event.name)
        old_path = self._path(event.old_directory, event.old_name)
        if is_directory:
            self.directories.moved(old_path, came_in=not old)
            self.directories.learn(event.target, path)
        batch.append(renamed(at_s, TIER, path, old_path, event.pid, is_directory=is_directory))

    def _matters(self, directory: bytes, name: bytes) -> bool:
        place = self.directories.find(directory)
        if place is GONE:
            self._gone += 1
        return place is not None and bool(_entry(place, name, RENAME)[1])

    def _path(self, directory: bytes, name: bytes) -> str:
        prefix = self.directories.path_of(directory)
        return "" if prefix is None else prefix + name.decode("utf-8", "surrogateescape")

    def _take_half(
        self, event: FanotifyEvent, path: str, mask: int, at_s: float, batch: list[Event]
    ) -> None:
        if event.mask & MOVED_FROM:
            self._flush_half(at_s, batch)
            self._half = _Half(event.pid, path, bool(mask & _MOVED), bool(event.mask & ONDIR))
        if not event.mask & MOVED_TO:
            return
        half = self._half
        if half is not None and half.pid == event.pid:
            self._half = None
        else:
            half = _Half(event.pid, "", False, bool(event.mask & ONDIR))
        if half.matters or mask & _MOVED:
            is_directory = half.is_directory
            batch.append(renamed(at_s, TIER, path, half.path, event.pid, is_directory=is_directory))

    def _flush_half(self, at_s: float, batch: list[Event]) -> None:
        half, self._half = self._half, None
        if half is not None and half.matters:
            batch += changes(
                DELETE, at_s, TIER, half.path, half.pid, is_directory=half.is_directory
            )


class _Half(NamedTuple):
    """The first half of a rename, waiting for the second."""

    pid: int
    path: str
    matters: bool
    is_directory: bool


def _entry(place: Place, raw: bytes, mask: int) -> tuple[str, int]:
    """The path of an entry and those bits of the mask that matter for it (0: none)."""
    if raw in (b".", b""):
        return place.prefix.rstrip("/") or "/", mask if place.names is None else 0
    name = raw.decode("utf-8", "surrogateescape")
    path = place.prefix + name
    if place.names is None:
        return path, mask
    if name not in place.names:
        return path, 0
    return path, mask & ~(ATTRIB | CLOSE_WRITE) if name in place.above else mask
