"""Tails the system log files of devices without journald.

Rule 1: nothing is polled: inotify says when a file grows, and when its folder gets a new one.
Rule 2: rotation loses nothing; a file that is shortened in place is EventsLost.
Rule 3: the proof is a line through /dev/log where a system logger listens there; where none does,
it is a file of the sensor's own in the run folder, which proves the reading and not the logger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from vedette.codec.syslog import SyslogLine, parse_line
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, LogLine
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _log_probe
from vedette.sensors._log_tail import LogTail

if TYPE_CHECKING:
    from inotify_simple import INotify

NAME: Final = "log_file"

PATHS: Final = ("/var/log/syslog", "/var/log/messages", "/var/log/auth.log")
"""Debian's, BusyBox's and Red Hat's; option `paths` (comma separated) names others."""

PAUSE_S: Final = 0.05
"""After a first line, so that a burst is read at once."""

_PROOF_FILE = "log_file.proof"


class LogFileSensor(Sensor):
    """Lines appended to log files."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.LOG,
            name=NAME,
            rank=40,
            sees=f"lines appended to {', '.join(PATHS)} or the files that `paths` names",
            misses=(
                "what the system logger filters, drops or writes elsewhere",
                "pids that a sender made up",
                "lines of a file that is shortened in place before they are read",
            ),
            lift=("a system logger that writes one of these files", "package: inotify-simple"),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._opened = ExitStack()
        self._inotify: INotify | None = None
        self._tails: list[LogTail] = []
        self._truncations = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last_token = ""
        self._counts = dict.fromkeys(("in", "out", "dropped", "untimed"), 0)

    def counters(self) -> Mapping[str, int]:
        """Lines read and handed on, losses, lines without a time stamp, and lines cut."""
        return {**self._counts, "cut": sum(tail.cut for tail in self._tails)}

    async def _open(self) -> None:
        paths = self._paths()
        if not any(path.is_file() for path in paths):
            names = ", ".join(map(str, paths))
            raise SensorError(f"log_file: expected one of {names}, found none; see option `paths`")
        self._inotify = _inotify()
        self._opened.callback(self._inotify.close)
        for path in paths:
            self._follow(path)
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._noticed)
        self._opened.callback(self._stop)

    def _paths(self) -> list[Path]:
        named = str(self.context.options.get("paths", "")).split(",")
        return [Path(name.strip()) for name in named if name.strip()] or [Path(p) for p in PATHS]

    def _follow(self, path: Path) -> LogTail:
        tail = LogTail(path)
        self._opened.callback(tail.close)
        self._tails.append(tail)
        self._watch(path)
        return tail

    def _watch(self, path: Path) -> None:
        """Be told of growth, and of a new file in its place. Adding a watch again is harmless."""
        from vedette.sensors._inotify import flags  # noqa: PLC0415 - rule 5 of ports/sensor.py

        if self._inotify is None:
            return
        self._inotify.add_watch(path.parent, flags.CREATE | flags.MOVED_TO)
        if path.exists():
            self._inotify.add_watch(path, flags.MODIFY)

    def _stop(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        if self._timer is not None:
            self._timer.cancel()

    def _noticed(self) -> None:
        if self._inotify is not None:
            # What the notices say is not needed: every file is looked at, and a queue that
            # overflowed is answered in the same way.
            self._inotify.read(timeout=0)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._read)

    def _read(self) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._timer = None
        batch: list[Event] = []
        is_more = False
        for tail in self._tails:
            try:
                lines, more = tail.read()
                self._watch(tail.path)
            except OSError as error:
                batch.append(self._loss(at_s, f"{tail.path} cannot be read: {error.strerror}"))
                continue
            is_more |= more
            batch += self._events(lines, at_s)
        truncations = sum(tail.truncations for tail in self._tails)
        if truncations > self._truncations:
            self._truncations = truncations
            batch.append(self._loss(at_s, "a log file was shortened in place"))
        if is_more:
            self._timer = asyncio.get_running_loop().call_later(0, self._read)
        self._counts["out"] += len(batch)
        self.emit(batch)

    def _events(self, lines: Sequence[bytes], at_s: float) -> list[Event]:
        self._counts["in"] += len(lines)
        events: list[Event] = []
        for line in lines:
            try:
                parsed = parse_line(line)
            except ParseError:
                # The continuation of a message, or a logger with a form of its own.
                self._counts["untimed"] += 1
                parsed = SyslogLine("", line.decode("utf-8", "surrogateescape"), 0)
            if self._last_token and self._last_token in parsed.message:
                self._proved()
            else:
                events.append(LogLine(at_s, NAME, *parsed))
        return events

    def _loss(self, at_s: float, reason: str) -> EventsLost:
        self._counts["dropped"] += 1
        return EventsLost(at_s, NAME, EventClass.LOG, "sensor", 0, is_exact=False, reason=reason)

    async def _provoke(self, token: str) -> None:
        self._last_token = token
        try:
            _log_probe.log(token)
        except OSError:
            self._write_own_file(token)

    def _write_own_file(self, token: str) -> None:
        """Nobody listens at /dev/log: read a file of our own through the same machinery."""
        path = self.context.run_dir / _PROOF_FILE
        if path not in [tail.path for tail in self._tails]:
            self._follow(path)
        # Put in place as rotation does it, so that it never grows.
        fresh = path.with_suffix(".new")
        fresh.write_text(f"self-test {token}\n", encoding="ascii")
        fresh.replace(path)

    def _is_proof(self, event: Event, token: str) -> bool:
        del event, token
        return False  # seen in _events: it may come by several files

    async def _close(self) -> None:
        self._opened.close()
        (self.context.run_dir / _PROOF_FILE).unlink(missing_ok=True)


def _inotify() -> INotify:
    try:
        from vedette.sensors._inotify import INotify  # noqa: PLC0415 - rule 5 of ports/sensor.py
    except ImportError as error:
        raise SensorError("log_file: the package inotify-simple is not installed") from error
    return INotify(inheritable=False, nonblocking=True)


sensor_class = LogFileSensor
