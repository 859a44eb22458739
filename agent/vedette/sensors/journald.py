"""Follows systemd's journal through `journalctl --follow --output=export`.

Rule 1: the child is ended with the sensor; when it ends by itself that is EventsLost, and the next
proof fails, so that the ladder replaces or reopens this source.
Rule 2: a log that comes faster than it is read waits in the pipe and then in the journal: nothing
is dropped here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Final

from vedette.codec import journal_export
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, LogLine
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _log_probe
from vedette.sensors._child import Child

NAME: Final = "journald"

JOURNALCTL: Final = (Path("/usr/bin/journalctl"), Path("/bin/journalctl"))
SOCKET: Final = Path("/run/systemd/journal/socket")

PAUSE_S: Final = 0.05
"""After a first line, so that a burst is read in few pieces."""

READ_BYTES: Final = 1 << 16
READS_PER_TURN: Final = 4


class JournaldSensor(Sensor):
    """Every message that reaches journald from now on."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.LOG,
            name=NAME,
            rank=60,
            sees="every message of the system log, with the pid that journald vouches for",
            misses=(
                "what a service writes to files of its own",
                "what journald drops by its rate limit",
            ),
            lift=("package: systemd with journald running", "group: root or systemd-journal"),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._opened = ExitStack()
        self._child: Child | None = None
        self._pipe = -1
        self._parser = journal_export.ExportParser()
        self._timer: asyncio.TimerHandle | None = None
        self._failure = ""
        self._counts = dict.fromkeys(("in", "out", "dropped"), 0)

    def counters(self) -> Mapping[str, int]:
        """Messages read and handed on, and streams that ended or broke."""
        return dict(self._counts)

    async def _open(self) -> None:
        program = next((path for path in JOURNALCTL if os.access(path, os.X_OK)), None)
        if program is None:
            raise SensorError(f"journald: expected journalctl at {JOURNALCTL[0]}, found none")
        if not SOCKET.is_socket():
            raise SensorError(f"journald: expected its socket {SOCKET}: it is not running")
        self._pipe, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._opened.callback(os.close, self._pipe)
        try:
            os.set_blocking(writing, True)
            self._child = Child(_argv(program), writing)
        finally:
            os.close(writing)
        asyncio.get_running_loop().add_reader(self._pipe, self._readable)
        self._opened.callback(self._stop)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        if self._timer is not None:
            self._timer.cancel()

    def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pipe)
        self._timer = loop.call_later(PAUSE_S, self._read)

    def _read(self) -> None:
        batch: list[Event] = []
        try:
            is_open = self._read_into(batch)
        except (ParseError, OSError) as error:
            is_open = False
            self._fail(f"the stream broke: {error}", batch)
        if batch:
            self._counts["out"] += len(batch)
            self.emit(batch)
        if is_open:
            asyncio.get_running_loop().add_reader(self._pipe, self._readable)

    def _read_into(self, batch: list[Event]) -> bool:
        """Read what is there; False at the end of the stream."""
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(self._pipe, READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self._fail("journalctl ended", batch)
                return False
            lines = self._parser.feed(data)
            self._counts["in"] += len(lines)
            batch += [LogLine(at_s, NAME, *line) for line in lines]
        return True

    def _fail(self, reason: str, batch: list[Event]) -> None:
        self._failure = reason
        self._counts["dropped"] += 1
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        batch.append(EventsLost(at_s, NAME, EventClass.LOG, "sensor", 0, False, reason))

    async def _provoke(self, token: str) -> None:
        if self._failure:
            raise SensorError(f"journald: {self._failure}")
        _log_probe.log(token)

    def _is_proof(self, event: Event, token: str) -> bool:
        return isinstance(event, LogLine) and token in event.message

    async def _close(self) -> None:
        self._opened.close()
        if self._child is not None:
            await self._child.end()


def _argv(program: Path) -> Sequence[str]:
    fields = ",".join(journal_export.FIELDS)
    return (
        str(program),
        "--follow",
        # Not `--lines=0`: what is logged until journalctl has found the end would be lost.
        f"--since=@{time.time():.6f}",
        "--no-tail",
        "--quiet",
        "--output=export",
        f"--output-fields={fields}",
    )


sensor_class = JournaldSensor
