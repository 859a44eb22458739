"""Compares the files of the device with the hash baseline: at start, every few hours, on request.

Rule 1: reading and hashing happen in a short-lived process; this one neither stalls nor grows.
Rule 2: the first scan is trusted on first use: it becomes the baseline, and its report says so.
Rule 3: a difference is an event once, and again only after it changed; it stands in `differences`
until it is accepted or gone.
Rule 4: it runs beside the better tiers, which miss what happened while the agent did not run, was
stalled, or wrote past the file system.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from vedette.codec.scan_stream import Found
from vedette.errors import SensorError
from vedette.model.baseline import Difference, Hint
from vedette.model.event import Event, EventClass, EventsLost, FileAction, FileChanged
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors._scan_pass import Outcome, ScanPass
from vedette.sensors._scanner_process import ScannerProcess
from vedette.sensors._trees import Trees

TIER: Final = "scan"
EVERY_H: Final = 6
FIRST_SCAN_S: Final = 1.0  # the other sensors prove themselves first
SCAN_S_MAX: Final = 4 * 3600.0
PROOF_S: Final = 20.0  # a scanner starts in 50 ms here, in some seconds on a busy small device
KEPT_MAX: Final = 1000
"""Differences kept for `vedette baseline diff`: about 1 MB at worst; all of them are counted."""
TOLD_MAX: Final = 20_000
DELIVERY_S: Final = 60.0
CLOSE_S: Final = 5.0
PAUSE_S: Final = 300.0
"""Between two scans that nobody is waiting for: whoever makes queues overflow on purpose would
otherwise keep the device reading its own disk."""
PROOF_FOLDER: Final = "scan-proof"

Who = Callable[[str], Hint | None]


class ScanReport(NamedTuple):
    """One scan: why and when it ran (CLOCK_BOOTTIME), how long it took, and what it did."""

    reason: str
    at_s: float
    duration_s: float
    outcome: Outcome


class Again(NamedTuple):
    """A scan asked for while one was running."""

    reason: str
    is_urgent: bool


def nobody(path: str) -> Hint | None:  # noqa: ARG001 - the shape of Who
    """Knows no changer of any path."""
    return None


def ignore(report: ScanReport) -> None:
    """Takes a report and tells nobody."""


class ScanSensor(Sensor):
    """The lowest tier of the file class, and the companion of all others.

    Attributes:
        who: who changed a path last, as far as the other sensors know; set by the sentinel.
        on_scanned: told after every scan, on the loop; set by the sentinel.
        report: the last scan that ended, or None.
    """

    is_companion: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset({"dac_read_search"})
    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.FILE,
            name=TIER,
            rank=20,
            sees="files that are not as the baseline has them: content, owner, mode, capabilities",
            misses=(
                "what was changed and changed back between two scans",
                "who changed a file, unless another tier saw it",
                "changes that keep inode, size and times, until the file's turn within 28 scans",
                "the content of files above 1 GB, and /proc, /sys and remote file systems",
            ),
            lift=("a folder for the agent's state that can be written",),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self.who: Who = nobody
        self.on_scanned: Callable[[ScanReport], None] = ignore
        self.report: ScanReport | None = None
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._pass: ScanPass | None = None
        self._proving: ScannerProcess | None = None
        self._running: asyncio.Future[ScanReport] | None = None
        self._again: Again | None = None
        self._kept: list[Difference] = []
        self._told: frozenset[int] = frozenset()
        self._found: list[Difference] = []
        self._telling: set[int] = set()
        self._counts = dict.fromkeys(("in", "out", "dropped", "scans", "failed"), 0)

    @property
    def proof_timeout_s(self) -> float:
        """Time for a process to start and read one file, however busy the device is."""
        return PROOF_S

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What the last whole scan found, at most KEPT_MAX; its report counts them all."""
        return tuple(self._kept)

    @property
    def is_scanning(self) -> bool:
        """Whether a scan runs now."""
        return self._running is not None

    def counters(self) -> Mapping[str, int]:
        """Differences found and handed on, scans, and the differences that stand."""
        return {**self._counts, "differences": len(self._kept)}

    def blind_spots(self, _: EventClass = EventClass.FILE) -> tuple[str, ...]:
        """What the last scan could not judge, the first few, one line each."""
        return self.report.outcome.skipped if self.report is not None else ()

    def request(self, reason: str, *, is_urgent: bool = False) -> None:
        """Scan as soon as it is reasonable, after the scan that is running.

        Args:
            reason: for the report.
            is_urgent: somebody waits; without it scans keep PAUSE_S between them.
        """
        if self._running is not None:
            self._again = Again(reason, is_urgent) if is_urgent or not self._again else self._again
        elif self._is_open:
            self._start_or_wait(reason, is_urgent=is_urgent)

    async def scan(self, reason: str) -> ScanReport:
        """Scan, or join the scan that is running, and wait for its report.

        Raises:
            SensorError: the sensor is closed, or was closed meanwhile.
        """
        if self._running is None:
            self.request(reason, is_urgent=True)
        if self._running is None:
            raise SensorError("scan: expected an open sensor, got one that is closed")
        return await asyncio.shield(self._running)

    def forget(self, paths: Sequence[str]) -> None:
        """Drop the differences of paths that were accepted into the baseline."""
        gone = frozenset(paths)
        self._kept = [one for one in self._kept if one.path not in gone]

    async def _open(self) -> None:
        if self.context.baseline is None:
            raise SensorError("scan: expected a baseline to compare with, got none")
        Trees(self.context.watch)  # what is wrong with the trees is said now
        self._is_open = True
        self._schedule(FIRST_SCAN_S, "start")

    def _start_or_wait(self, reason: str, *, is_urgent: bool) -> None:
        wait_s = 0.0
        if self.report is not None and not is_urgent:
            ended_s = self.report.at_s + self.report.duration_s
            wait_s = ended_s + PAUSE_S - time.clock_gettime(time.CLOCK_BOOTTIME)
        if wait_s > 0:
            self._schedule(wait_s, reason)
        else:
            self._start(reason)

    def _schedule(self, delay_s: float, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.request, reason)

    def _start(self, reason: str) -> None:
        if self.context.baseline is None:
            return
        loop = asyncio.get_running_loop()
        self._schedule(float(self.context.options.get("every_h", EVERY_H)) * 3600, "schedule")
        self._found, self._telling = [], set()
        self._pass = ScanPass(
            Trees(self.context.watch).roots,
            self.context.state_dir,
            self.context.baseline,
            lambda found: self._hand_over(loop, found),
        )
        watchdog = loop.call_later(SCAN_S_MAX, self._pass.kill)
        self._running = loop.run_in_executor(None, _run, self._pass, reason)
        self._running.add_done_callback(lambda done: self._ended(done, watchdog))

    def _ended(self, done: asyncio.Future[ScanReport], watchdog: asyncio.TimerHandle) -> None:
        watchdog.cancel()
        self._running = self._pass = None
        if not self._is_open or done.cancelled():
            return
        self.report = report = done.result()
        self._counts["scans"] += 1
        if report.outcome.failure:
            self._counts["failed"] += 1
            at_s, reason = time.clock_gettime(time.CLOCK_BOOTTIME), report.outcome.failure
            self.emit([EventsLost(at_s, TIER, EventClass.FILE, "sensor", 0, False, reason)])
        else:
            self._kept, self._told = self._found, frozenset(self._telling)
        self.on_scanned(report)
        again, self._again = self._again, None
        if again is not None:
            self._start_or_wait(again.reason, is_urgent=again.is_urgent)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, found: Sequence[Difference]) -> None:
        """Give differences to the loop and wait until it took them (worker thread)."""
        taken = threading.Event()
        try:
            loop.call_soon_threadsafe(self._take, found, taken)
        except RuntimeError as error:
            raise SensorError("scan: the agent ended before the scan did") from error
        if not taken.wait(DELIVERY_S):
            raise SensorError(f"scan: the agent took no differences for {DELIVERY_S:g} s")

    def _take(self, found: Sequence[Difference], taken: threading.Event) -> None:
        try:
            self._tell(found)
        finally:
            taken.set()

    def _tell(self, found: Sequence[Difference]) -> None:
        batch: list[Event] = []
        for difference in found:
            hint = self.who(difference.path)
            if len(self._found) < KEPT_MAX:
                self._found.append(_named(difference, hint))
            mark = _mark(difference)
            if mark not in self._told:
                batch.append(_event(difference, hint))
            if len(self._telling) < TOLD_MAX:
                self._telling.add(mark)
        self._counts["in"] += len(found)
        self._counts["out"] += len(batch)
        if self._is_open:
            self.emit(batch)

    async def _provoke(self, token: str) -> None:
        """Let a scanner read a file of our own making."""
        file = self.context.run_dir / PROOF_FOLDER / token
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.write_text(token)
            loop = asyncio.get_running_loop()
            if await loop.run_in_executor(None, self._finds, str(file)):
                self._proved()
        finally:
            file.unlink(missing_ok=True)

    def _finds(self, path: str) -> bool:
        """Whether a scanner tells this file with a digest (worker thread)."""
        self._proving = ScannerProcess((path,), None)
        try:
            return any(
                isinstance(message, Found) and message.record.path == path and message.record.digest
                for message in self._proving.messages()
            )
        finally:
            self._proving = None

    def _is_proof(self, event: Event, token: str) -> bool:  # noqa: ARG002
        return False  # told as Found, which never becomes an Event

    async def _close(self) -> None:
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        for running in (self._pass, self._proving):
            if running is not None:
                running.kill()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=CLOSE_S)


def _run(scan: ScanPass, reason: str) -> ScanReport:
    started_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    outcome = scan.run()
    return ScanReport(
        reason, started_s, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s, outcome
    )


def _mark(difference: Difference) -> int:
    """What two scans of one state agree on: the time of a fresh change is not kept at first."""
    records = (difference.expected, difference.found)
    timeless = tuple(record and record._replace(ctime_ns=0) for record in records)
    return hash((difference.change, difference.path, difference.words, timeless))


def _named(difference: Difference, hint: Hint | None) -> Difference:
    if hint is None:
        return difference
    return difference._replace(changed_by=f"{hint.image or 'unknown program'} (pid {hint.pid})")


def _event(difference: Difference, hint: Hint | None) -> FileChanged:
    found = difference.found
    return FileChanged(
        at_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        tier=TIER,
        action=_action(difference),
        path=difference.path,
        old_path="",
        pid=hint.pid if hint is not None else 0,
        mode=found.mode if found is not None else -1,
        uid=found.uid if found is not None else -1,
        is_directory=_kind(difference) == "dir",
        digest=found.digest if found is not None else "",
    )


def _kind(difference: Difference) -> str:
    record = difference.found or difference.expected
    return record.kind if record is not None else ""


def _action(difference: Difference) -> FileAction:
    if difference.change == "added":
        return "created"
    if difference.change == "removed":
        return "deleted"
    is_content = any(word.startswith(_CONTENT_WORDS) for word in difference.words)
    return "modified" if is_content else "attributes"


_CONTENT_WORDS: Final = ("content", "target", "size", "kind", "unreadable")

sensor_class = ScanSensor
