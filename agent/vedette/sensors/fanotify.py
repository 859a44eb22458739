"""Watches files through fanotify file system marks: names and the pid of who changed them.

Rule 1: one mark for each file system that holds a watched tree; what happens outside the trees is
dropped by its directory's handle.
Rule 2: the first event starts a pause of 10 ms, then all that came is read: waking up for each
event costs three times as much (research: 7.8 against 3.2 µs an event).
Rule 3: the kernel's queue stays bounded; when it overflows that is EventsLost, and a scan is due.
Rule 4: no mark asks for MODIFY: content is judged when the writer closes.
Rule 5: what the sentinel itself does to files is no event.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from vedette.codec.fanotify import CLOSE_WRITE, FSID_BYTES, FanotifyEvent, parse_events
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors._fanotify_group import LIFT, Group
from vedette.sensors._fanotify_reader import TIER, Reader
from vedette.sensors._fdinfo import marks_of
from vedette.sensors._filesystems import Filesystem, is_there
from vedette.sensors._mounts_watch import MountsWatch
from vedette.sensors._trees import Trees

BATCH_PAUSE_S: Final = 0.010
READS_PER_TURN: Final = 4  # about 2,000 events or 8 ms, then others may use the loop
PROOF_FILE: Final = "fanotify.proof"


class FanotifySensor(Sensor):
    """Sees names and pids on every file system that takes a mark."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.FILE,
            name=TIER,
            rank=80,
            sees="created, changed, renamed, removed files and their attributes, with the pid",
            misses=(
                "writes through a memory mapping until the last user of the file lets go",
                "which program a short-lived writer was, unless the process sensor saw it",
                "what happens on a newly mounted file system in its first half second",
                "changes in /proc, /sys, remote and FUSE file systems",
            ),
            lift=LIFT,
        ),
    )

    capabilities: ClassVar[frozenset[str]] = frozenset({"sys_admin", "dac_read_search"})

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._own_pid = os.getpid()
        self._group: Group | None = None
        self._reader: Reader | None = None
        self._mounts_watch: MountsWatch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unproven: set[bytes] = set()
        self._left_out: tuple[str, ...] = ()
        self._counts = dict.fromkeys(("in", "out", "dropped", "own"), 0)

    def counters(self) -> Mapping[str, int]:
        """Events read, handed on and dropped, and how the directory cache does."""
        reader = self._reader
        if reader is None:
            return dict(self._counts)
        return {
            **self._counts,
            "unwatched": reader.unwatched,
            "overflows": reader.overflows,
            "directories": len(reader.directories),
            "directories_evicted": reader.directories.evicted,
            "directories_looked_up": reader.directories.misses,
        }

    def blind_spots(self, _: EventClass = EventClass.FILE) -> tuple[str, ...]:
        """File systems of the watched trees that cannot be watched or proven, one line each."""
        marked = self._group.left_out if self._group is not None else ()
        return marked + self._left_out

    async def taken_away(self) -> str:
        """Whether the group has fewer marks than were set."""
        group = self._group
        if group is None:
            return ""
        # Some lines: here, since another thread would be woken for it every ten seconds.
        marks = marks_of(group.descriptor, b"fanotify sdev:")
        # One that was unmounted took its mark along: the mounts are followed a moment later.
        there = [filesystem for filesystem in group.filesystems if is_there(filesystem)]
        wanted = len({filesystem.device for filesystem in there})
        return f"{wanted - marks} of {wanted} fanotify marks were removed" if marks < wanted else ""

    async def _open(self) -> None:
        self._group = Group(Trees(self.context.watch))
        self._reader = Reader(self._group.resolve, self._group.place)
        loop = asyncio.get_running_loop()
        self._mounts_watch = MountsWatch(loop, self._mounts_changed)
        loop.add_reader(self._group.descriptor, self._readable, self._group, self._reader)

    def _mark(self, group: Group, reader: Reader) -> None:
        """Follow what became of links, trees and mounts."""
        try:
            if group.mark(Trees(self.context.watch)):
                reader.directories.clear()
        except ParseError as error:
            raise SensorError(f"fanotify: /proc/self/mountinfo: {error}") from error

    def _mounts_changed(self) -> bool:
        """Mark what is new; whether everything that must be is marked."""
        if self._group is None or self._reader is None:
            return False
        try:
            self._mark(self._group, self._reader)
        except (SensorError, OSError) as error:
            self._lose(f"the mounts changed and could not be followed: {error}")
            return False
        return True

    def _readable(self, group: Group, reader: Reader) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(group.descriptor)
        self._timer = loop.call_later(BATCH_PAUSE_S, self._drain, group, reader)

    def _drain(self, group: Group, reader: Reader) -> None:
        """Read what came; give the loop back after a few milliseconds."""
        loop = asyncio.get_running_loop()
        batch: list[Event] = []
        try:
            is_empty = self._read(group, reader, batch)
        except OSError as error:
            # The descriptor stays unread: the next proof fails and the next tier takes over.
            self._lose(f"reading fanotify events failed: {error}")
            return
        finally:
            group.end_batch()
            self._finish(reader, batch)
        if is_empty:
            loop.add_reader(group.descriptor, self._readable, group, reader)
        else:
            self._timer = loop.call_later(0, self._drain, group, reader)

    def _read(self, group: Group, reader: Reader, batch: list[Event]) -> bool:
        """Read a bounded part; whether that was all. No event happened after its time."""
        for _ in range(READS_PER_TURN):
            try:
                data = group.read()
            except BlockingIOError:
                return True
            at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            try:
                events = parse_events(data)
            except ParseError as error:
                batch.append(_loss(at_s, f"fanotify wrote what its manual does not say: {error}"))
                continue
            self._counts["in"] += len(events)
            for event in events:
                if event.pid == self._own_pid:
                    self._counts["own"] += 1
                    self._see_proof(event)
                else:
                    reader.take(event, at_s, batch)
        return False

    def _finish(self, reader: Reader, batch: list[Event]) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._counts["dropped"] += reader.end_batch(at_s, batch)
        self._counts["out"] += len(batch)
        self.emit(batch)

    def _lose(self, reason: str) -> None:
        self.emit([_loss(time.clock_gettime(time.CLOCK_BOOTTIME), reason)])

    async def _provoke(self, token: str) -> None:  # noqa: ARG002 - our own pid is the token
        """Open and close a file for writing on every marked file system; nothing is written."""
        if self._group is None or self._reader is None:
            raise SensorError("fanotify: expected an open sensor, got one that is closed")
        self._left_out = ()
        there = [known for known in self._group.filesystems if is_there(known)]
        writable = [known for known in there if not known.is_read_only]
        self._unproven = {_fsid(known) for known in writable}
        for fsid in self._unproven.copy():
            if not self._touch(next(known for known in writable if _fsid(known) == fsid)):
                self._unproven.discard(fsid)
        if not self._unproven:
            self._all_seen()

    def _all_seen(self) -> None:
        """Mark what is new, and only now: one that was taken away must fail the proof before."""
        if self._mounts_changed():
            self._proved()

    def _touch(self, filesystem: Filesystem) -> bool:
        if filesystem.device in {_device(self.context.state_dir), _device(self.context.run_dir)}:
            is_state = filesystem.device == _device(self.context.state_dir)
            folder = self.context.state_dir if is_state else self.context.run_dir
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(folder / PROOF_FILE, flags, 0o600))
            return True
        try:
            flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(filesystem.directory, flags, 0o600))
        except OSError as error:
            where = f"{filesystem.directory} ({filesystem.kind})"
            why = f"takes no test file ({error.strerror}): watched, but not proven"
            self._left_out += (f"{where} {why}",)
            return False
        return True

    def _see_proof(self, event: FanotifyEvent) -> None:
        is_ours = event.name == PROOF_FILE.encode() or event.name.startswith(b"#")  # O_TMPFILE
        if self._unproven and is_ours and event.mask & CLOSE_WRITE:
            self._unproven -= {event.directory[:FSID_BYTES], event.directory[:4]}
            if not self._unproven:
                self._all_seen()

    def _is_proof(self, event: Event, token: str) -> bool:  # noqa: ARG002
        return False  # seen by _see_proof: what our own pid does never becomes an Event

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._mounts_watch is not None:
            self._mounts_watch.close()
            self._mounts_watch = None
        if self._group is not None:
            asyncio.get_running_loop().remove_reader(self._group.descriptor)
            self._group.close()
            self._group = None


def _loss(at_s: float, reason: str) -> EventsLost:
    return EventsLost(at_s, TIER, EventClass.FILE, "sensor", 0, False, reason)


def _fsid(filesystem: Filesystem) -> bytes:
    """The part of the fsid that libc told, as it begins in an event's key."""
    return filesystem.fsid if filesystem.fsid[4:] != bytes(4) else filesystem.fsid[:4]


def _device(folder: Path) -> int:
    try:
        return folder.stat().st_dev
    except OSError:
        return -1


sensor_class = FanotifySensor
