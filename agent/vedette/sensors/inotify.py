"""Watches files through inotify on every folder of the watched trees: names, but nobody's pid.

Rule 1: works without root on what it may read, and says what it may not.
Rule 2: the first event starts a pause of 10 ms, then all that came is read.
Rule 3: a new folder is watched and then listed: what was made in it before is told as created.
Rule 4: the agent's own folders are left out: their writes cannot be told from anybody else's.
"""

from __future__ import annotations

import asyncio
import os
import stat
import struct
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from vedette.codec.fanotify import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    MOVED_FROM,
    MOVED_TO,
    ONDIR,
    Q_OVERFLOW,
)
from vedette.codec.mountinfo import PSEUDO, is_remote
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _watch_tree
from vedette.sensors._file_events import changes, renamed
from vedette.sensors._filesystems import read_mounts
from vedette.sensors._trees import Trees, real_path

TIER: Final = "inotify"
BATCH_PAUSE_S: Final = 0.010
READ_BYTES: Final = 65_536
READS_PER_TURN: Final = 4
PROOF_FOLDER: Final = "inotify-proof"
MOST_GIVEN_UP: Final = 1024
"""Remembered between two looks; one that somebody removed is enough to say so."""

# inotify(7); the bits of inotify and fanotify for the same events are the same.
IGNORED: Final = 0x8000
ONLYDIR: Final = 0x0100_0000
DONT_FOLLOW: Final = 0x0200_0000
EXCL_UNLINK: Final = 0x0400_0000

_CHANGES = ATTRIB | CLOSE_WRITE | CREATE | DELETE
_MASK = _CHANGES | MOVED_FROM | MOVED_TO | ONLYDIR | DONT_FOLLOW | EXCL_UNLINK


class _Half(NamedTuple):
    """The first half of a rename; `path` is "" where it does not matter."""

    cookie: int
    path: str
    is_directory: bool


class InotifySensor(Sensor):
    """Sees names in every folder that could be watched."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.FILE,
            name=TIER,
            rank=50,
            sees="created, changed, renamed, removed files and their attributes in watched folders",
            misses=(
                "who changed a file: there is no pid",
                "writes through a memory mapping until the last user of the file lets go",
                "folders that this user may not read, and those beyond 16,384",
                "changes to the agent's own folders, /proc, /sys, remote and FUSE file systems",
            ),
            lift=("kernel: CONFIG_INOTIFY_USER=y", "fs.inotify.max_user_watches above the folders"),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._inotify: Any = None
        self._parse: Any = None
        self._trees = Trees(("/",))
        self._watches: _watch_tree.WatchTree | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._proof_watch = -1
        self._half: _Half | None = None
        self._found: set[str] = set()
        self._told_unwatched = 0
        self._given_up: set[str] = set()
        self._counts = dict.fromkeys(("in", "out", "dropped", "unwatched", "overflows"), 0)

    def counters(self) -> Mapping[str, int]:
        """Events read, handed on and dropped, and how many folders are watched."""
        watches = self._watches
        if watches is None:
            return dict(self._counts)
        return {**self._counts, "folders": len(watches), "folders_unwatched": watches.unwatched}

    def blind_spots(self, _: EventClass = EventClass.FILE) -> tuple[str, ...]:
        """Folders that cannot be watched, the first few with their reason."""
        return self._watches.blind_spots if self._watches is not None else ()

    async def taken_away(self) -> str:
        """Folders that are there and whose watch the kernel gave up: somebody removed it."""
        given_up, self._given_up = self._given_up, set()
        watches = self._watches
        if watches is None:
            return ""
        robbed = sorted(path for path in given_up if path not in watches and _is_folder(path))
        if not robbed:
            return ""
        return f"{len(robbed)} inotify watches were removed, such as that of {robbed[0]}"

    async def _open(self) -> None:
        try:
            from vedette.sensors import _inotify  # noqa: PLC0415 (an unused tier costs no memory)
        except ImportError as error:
            raise SensorError("inotify: expected the package inotify-simple, got none") from error
        self._trees = Trees(self.context.watch)
        self._inotify = _inotify.INotify(nonblocking=True)
        self._parse = _inotify.parse_events
        watches = _watch_tree.WatchTree(self._inotify, _MASK, self._left_out())
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._add_all, watches)
        if not len(watches):
            raise SensorError(f"inotify: no folder can be watched: {_first(watches)}")
        self._watches = watches
        self._told_unwatched = watches.unwatched
        loop.add_reader(self._inotify.fileno(), self._readable)

    def _left_out(self) -> frozenset[str]:
        own = {real_path(str(self.context.state_dir)), real_path(str(self.context.run_dir))}
        try:
            mounts = read_mounts()
        except (OSError, ParseError):
            return frozenset(own)
        return frozenset(own | {m.point for m in mounts if m.kind in PSEUDO or is_remote(m.kind)})

    def _add_all(self, watches: _watch_tree.WatchTree) -> None:
        for folder in self._trees.above():
            watches.add(folder)
        for _ in watches.add_trees(self._trees.roots, is_new=False):
            pass

    def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.fileno())
        self._timer = loop.call_later(BATCH_PAUSE_S, self._drain)

    def _drain(self) -> None:
        """Read what came; give the loop back after a few milliseconds."""
        loop = asyncio.get_running_loop()
        batch: list[Event] = []
        is_empty = False
        try:
            is_empty = self._read(batch)
        except (OSError, struct.error) as error:
            # The descriptor stays unread: the next proof fails and the next tier takes over.
            self._lose(batch, "sensor", f"reading inotify events failed: {error}")
            return
        finally:
            self._finish(batch, is_empty=is_empty)
        if is_empty:
            loop.add_reader(self._inotify.fileno(), self._readable)
        else:
            self._timer = loop.call_later(0, self._drain)

    def _read(self, batch: list[Event]) -> bool:
        """Read a bounded part; whether that was all."""
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(self._inotify.fileno(), READ_BYTES)
            except BlockingIOError:
                return True
            events = self._parse(data)
            self._counts["in"] += len(events)
            for watch, mask, cookie, name in events:
                self._take(watch, mask, cookie, name, at_s, batch)
        return False

    def _take(
        self, watch: int, mask: int, cookie: int, name: str, at_s: float, batch: list[Event]
    ) -> None:
        watches = self._watches
        if watches is None:
            return
        if mask & Q_OVERFLOW:
            self._overflow(watches, batch)
            return
        if mask & IGNORED:
            self._give_up(watches, watch)
            return
        folder = watches.path(watch)
        if watch == self._proof_watch and name == self._token:
            self._proved()
        if folder is None:
            self._counts["unwatched"] += 1
            return
        self._take_in(folder, mask, cookie, name, at_s, batch)

    def _give_up(self, watches: _watch_tree.WatchTree, watch: int) -> None:
        """With its folder, as a rule; `taken_away` finds the others."""
        folder = watches.path(watch)
        watches.forget(watch)
        if folder is not None and len(self._given_up) < MOST_GIVEN_UP:
            self._given_up.add(folder)

    def _take_in(
        self, folder: str, mask: int, cookie: int, name: str, at_s: float, batch: list[Event]
    ) -> None:
        path, matters = self._matters(folder, name)
        is_directory = bool(mask & ONDIR)
        if mask & (MOVED_FROM | MOVED_TO):
            self._take_half(path, matters, mask, cookie, at_s, batch)
            return
        if not matters & mask:
            self._counts["unwatched"] += 1
            return
        if mask & CREATE and path in self._found:
            self._found.discard(path)
            return
        batch += changes(mask & matters, at_s, TIER, path, 0, is_directory=is_directory)
        if is_directory and mask & CREATE:
            self._enter(path, at_s, batch, is_told=True)

    def _matters(self, folder: str, name: str) -> tuple[str, int]:
        """The path of an entry and those bits of a mask that matter for it."""
        place = self._trees.place(folder)
        if not name:
            # A folder tells its own attributes; its parent's watch, if there is one, did so too.
            parent = os.path.split(folder)[0]
            is_told = self._watches is not None and parent in self._watches
            return folder, 0 if is_told or not self._trees.covers(folder) else ATTRIB
        if place is None:
            return os.path.join(folder, name), 0  # noqa: PTH118
        path = place.prefix + name
        if place.names is not None and name not in place.names:
            return path, 0
        every = _CHANGES | MOVED_FROM | MOVED_TO
        return path, every & ~(ATTRIB | CLOSE_WRITE) if name in place.above else every

    def _enter(self, top: str, at_s: float, batch: list[Event], *, is_told: bool) -> None:
        """Watch a folder that is new here, and tell what is in it already."""
        watches = self._watches
        if watches is None:
            return
        if not self._trees.covers(top):
            # It leads to a tree: watch what it leads to, as far as that exists.
            self._add_all(watches)
            return
        for path, is_directory in watches.add_trees((top,)):
            if is_told:
                self._found.add(path)
                batch += changes(CREATE, at_s, TIER, path, 0, is_directory=is_directory)

    def _take_half(
        self, path: str, matters: int, mask: int, cookie: int, at_s: float, batch: list[Event]
    ) -> None:
        is_directory = bool(mask & ONDIR)
        known = path if matters & mask else ""
        if mask & MOVED_FROM:
            self._flush_half(at_s, batch)
            self._half = _Half(cookie, known, is_directory)
            return
        half, self._half = self._half, None
        old = half.path if half is not None and half.cookie == cookie else ""
        if half is not None and half.cookie != cookie:
            self._half = half
            self._flush_half(at_s, batch)
        if not known and not old:
            return
        batch.append(renamed(at_s, TIER, path, old, 0, is_directory=is_directory))
        if is_directory:
            self._follow(old, path, at_s, batch)

    def _follow(self, old: str, new: str, at_s: float, batch: list[Event]) -> None:
        """A folder was renamed: keep, drop or begin its watches."""
        if self._watches is None:
            return
        if old and self._trees.covers(new):
            self._watches.moved(old, new)
        elif old:
            self._watches.drop(old)
        if new not in self._watches:
            self._enter(new, at_s, batch, is_told=False)

    def _flush_half(self, at_s: float, batch: list[Event]) -> None:
        """It left the trees for where nobody looks: for them it is deleted."""
        half, self._half = self._half, None
        if half is None or not half.path:
            return
        batch += changes(DELETE, at_s, TIER, half.path, 0, is_directory=half.is_directory)
        if half.is_directory and self._watches is not None:
            self._watches.drop(half.path)

    def _overflow(self, watches: _watch_tree.WatchTree, batch: list[Event]) -> None:
        self._counts["overflows"] += 1
        self._lose(
            batch, "kernel", "the kernel's inotify queue was full: scan to find what changed"
        )
        self._add_all(watches)  # folders made meanwhile

    def _finish(self, batch: list[Event], *, is_empty: bool) -> None:
        if is_empty:
            self._flush_half(time.clock_gettime(time.CLOCK_BOOTTIME), batch)
            self._found.clear()
        watches = self._watches
        if watches is not None and watches.unwatched > self._told_unwatched:
            self._told_unwatched = watches.unwatched
            self._lose(batch, "sensor", f"a new folder cannot be watched: {_first(watches)}")
        self._counts["out"] += len(batch)
        self.emit(batch)

    def _lose(self, batch: list[Event], stage: str, reason: str) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        batch.append(EventsLost(at_s, TIER, EventClass.FILE, stage, 0, False, reason))

    async def _provoke(self, token: str) -> None:
        """Make a file in a folder of our own that is watched for this moment."""
        if self._inotify is None:
            raise SensorError("inotify: expected an open sensor, got one that is closed")
        folder = self.context.run_dir / PROOF_FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._proof_watch = self._inotify.add_watch(str(folder), CREATE | ONLYDIR)
        (folder / token).touch()
        (folder / token).unlink()
        folder.rmdir()  # the event is in the queue; the watch goes with the folder

    def _is_proof(self, event: Event, token: str) -> bool:  # noqa: ARG002
        return False  # seen by _take: the proof's folder is in no tree

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _first(watches: _watch_tree.WatchTree) -> str:
    return "; ".join(watches.blind_spots[-1:]) or "none of the watched trees exists"


sensor_class = InotifySensor
