"""Plays drills at each period and when somebody asks; never two at a time.

Rule 1: a drill is played by a short-lived child (daemon/drill_player.py); what comes of it is the
core's to judge (core/drills.py).
Rule 2: a category is expected where a source watches its class that can tell of it so soon.
Rule 3: what was missed is played once more, with another word, before it is told; then all sources
have to prove themselves, so that a blind one is replaced at once.
Rule 4: responses are planned against what the drill itself made, those against units against one
that is declared essential; nothing is done.
Rule 5: its file is made in memory where a folder there is watched: 24 a day would wear a flash.
Rule 6: only the uplink sees names, and it may be away: the drill's name is expected once one was
seen, until its absence was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import string
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.codec.procfs import parse_stat
from vedette.codec.text import escape
from vedette.core.drills import Drill
from vedette.core.inputs import DrillBegun, DrillEnded, Rehearsed
from vedette.daemon.drill_player import PLAYED
from vedette.daemon.mounts import is_in_memory
from vedette.daemon.shell import Shell, now
from vedette.errors import DeviceError, ParseError, RequestError
from vedette.model.event import EventClass
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
    UnitTarget,
)
from vedette.model.tier import TierReport
from vedette.sensors._child import Child

FIRST_S = 300.0
"""After the start: what boots with the agent is over by then."""
WAIT_S = 12.0
"""What the slowest source that is expected to tell of it needs: two looks at all listeners."""
LOOK_S = 0.1
PLAY_TIMEOUT_S = 20.0
WORD_LETTERS = 12
MAX_SAID_BYTES = 4096
PEER = "192.0.2.1"
"""RFC 5737: an address that is nobody's."""

_PLAYER = "vedette.daemon.drill_player"
_CATEGORIES: Mapping[str, EventClass] = {
    "process_creation": EventClass.PROCESS,
    "kernel_activity": EventClass.KERNEL,
    "file_event": EventClass.FILE,
    "network_connection": EventClass.NETWORK,
    "listener_opened": EventClass.NETWORK,
    "service": EventClass.LOG,
}
_NAME, _NAME_TIER = "dns_query", "uplink"
_TOO_SLOW = frozenset({"scan"})
"""It looks once a day."""

Rehearse = Callable[[Order], Awaitable[Outcome]]


class Sources(NamedTuple):
    """What drills need to know of the rest of the agent.

    Attributes:
        reports: where each class of events stands now.
        rehearse: plans an order and changes nothing.
        responders: their names, and what each acts on.
        check: has all sources prove themselves.
    """

    reports: Callable[[], Sequence[TierReport]]
    rehearse: Rehearse
    responders: Callable[[], Mapping[str, type[Target]]]
    check: Callable[[], Awaitable[object]]


class Report(NamedTuple):
    """What came of a drill; `drill` is its last round."""

    drill: Drill
    missing: tuple[str, ...]
    not_played: Mapping[str, str]
    responses: tuple[Rehearsed, ...]
    took_s: float


class Drills:
    """The clock of the drills.

    Args:
        shell: leads to the core.
        sources: the rest of the agent.
        watch: trees whose files are watched.
        every_s: seconds between two that nobody asked for; 0 for none.
        unit: what responses against units are planned against, "" for none.
    """

    def __init__(
        self,
        shell: Shell,
        sources: Sources,
        *,
        watch: Sequence[str],
        every_s: float,
        unit: str = "",
    ) -> None:
        self._shell, self._sources = shell, sources
        self._watch, self._every_s, self._unit = tuple(watch), every_s, unit
        self._before: Drill | None = None
        self._are_names_seen = False
        self._one = asyncio.Lock()
        self.newest: Report | None = None

    async def run(self) -> None:
        """Drill at each period until cancelled."""
        if not self._every_s:
            return
        await asyncio.sleep(min(FIRST_S, self._every_s))
        while True:
            with contextlib.suppress(RequestError):  # somebody's own drill is as good
                await self.drill("timer")
            await asyncio.sleep(self._every_s)

    async def drill(self, reason: str) -> Report:
        """Play one; returns what came of it.

        Raises:
            RequestError: another one is running.
        """
        if self._one.locked():
            raise RequestError("a drill is running already; ask again in some seconds")
        async with self._one:
            report = await self._round(reason, is_final=False)
            if report.missing:
                report = await self._round(reason, is_final=True)
                if report.missing:
                    with contextlib.suppress(RequestError):  # the agent stops
                        await self._sources.check()
            self.newest = report
            return report

    async def _round(self, reason: str, *, is_final: bool) -> Report:
        word, address = _word(), _address()
        folder = _folder(self._watch)
        expected = self._expected(folder)
        began_s, wall_s = now()
        self._shell.tell(DrillBegun(began_s, wall_s, word, address, expected, reason))
        drill = self._shell.agent.detection.drills.running
        if drill is None:
            raise RuntimeError("expected the core to follow the drill it was told of")
        not_played, responses = dict[str, str](), tuple[Rehearsed, ...]()
        try:
            async with _player(word, address, folder) as (pid, said):
                not_played = said
                for step in not_played.keys() & expected.keys():
                    del expected[step]
                responses = await self._rehearse(pid, f"{folder}/{word}")
                await _until(lambda: not drill.missing(), WAIT_S)
        except (DeviceError, OSError) as error:
            not_played = dict.fromkeys(expected, f"the player failed: {error}")
            expected.clear()
        missing = drill.missing()
        is_last = is_final or not missing
        self._before = drill
        if is_last and _NAME in missing:
            self._are_names_seen = False
        self._shell.tell(DrillEnded(*now(), not_played, responses, is_last))
        return Report(drill, tuple(missing), not_played, responses, now()[0] - began_s)

    def _expected(self, folder: str) -> dict[str, str]:
        """By category, the source that has to tell of it."""
        tiers = {report.event_class: report.tier for report in self._sources.reports()}
        expected = {}
        for category, event_class in _CATEGORIES.items():
            tier = tiers.get(event_class)
            is_there = folder or event_class is not EventClass.FILE
            if tier is not None and tier.name not in _TOO_SLOW and is_there:
                expected[category] = tier.name
        if self._knows_names():
            expected[_NAME] = _NAME_TIER
        return expected

    def _knows_names(self) -> bool:
        """Whether the uplink tells of names: what it told after a drill's end counts as well."""
        before = self._before
        if before is not None and _NAME in (before.seen.keys() | before.matched.keys()):
            self._are_names_seen = True
        return self._are_names_seen

    async def _rehearse(self, pid: int, file: str) -> tuple[Rehearsed, ...]:
        targets = _targets(pid, file, self._unit)
        found = []
        for name, kind in sorted(self._sources.responders().items()):
            target = targets.get(kind)
            if target is None:
                continue
            order = Order(
                response_id=os.urandom(8).hex(),
                responder=name,
                target=target,
                mode=Mode.OBSERVE,
                cause="vedette:drill",
                incident_id="",
                playbook="",
                lasts_s=0.0,
            )
            outcome = await self._sources.rehearse(order)
            is_ready = outcome.status is ResponseStatus.OBSERVED
            found.append(Rehearsed(name, is_ready, outcome.detail))
        return tuple(found)


def _targets(pid: int, file: str, unit: str) -> dict[type[Target], Target]:
    """What a response could act on: what the drill has made, and a unit if one is named."""
    try:
        ticks = parse_stat(Path(f"/proc/{pid}/stat").read_bytes()).start_ticks
    except (OSError, ParseError):
        ticks = 0
    process = ProcessTarget(ProcessKey(pid, ticks), sys.executable)
    targets: dict[type[Target], Target] = {
        ProcessTarget: process,
        FileTarget: FileTarget(file, ""),
        PeerTarget: PeerTarget(PEER),
        DeviceTarget: DeviceTarget(),
    }
    if unit:
        targets[UnitTarget] = UnitTarget(unit)
    return targets


@contextlib.asynccontextmanager
async def _player(
    word: str, address: str, folder: str
) -> AsyncIterator[tuple[int, dict[str, str]]]:
    """The player, once it has played: its pid and what it could not play.

    Raises:
        DeviceError: it does not come to an end of it.
    """
    reading, writing = os.pipe()
    try:
        child = Child([sys.executable, "-I", "-m", _PLAYER, word, address, folder], writing)
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(PLAY_TIMEOUT_S):
            said = await _hear(reading)
        yield child.pid, said
    except TimeoutError as error:
        raise DeviceError(f"it has not played within {PLAY_TIMEOUT_S:g} s") from error
    finally:
        os.close(reading)
        await child.end()


async def _hear(descriptor: int) -> dict[str, str]:
    """What the player says until it has played."""
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    said = b""
    try:
        while not f"\n{said.decode('utf-8', 'replace')}".endswith(f"\n{PLAYED}\n"):
            await ready.wait()
            ready.clear()
            with contextlib.suppress(BlockingIOError):
                piece = os.read(descriptor, MAX_SAID_BYTES)
                said += piece
                if not piece or len(said) > MAX_SAID_BYTES:
                    raise DeviceError("it ended before it had played")
    finally:
        loop.remove_reader(descriptor)
    lines = said.decode("utf-8", "replace").split("\n")[:-2]
    return {escape(step): escape(reason) for step, _, reason in (x.partition("\t") for x in lines)}


async def _until(is_so: Callable[[], bool], timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110 (the core has nothing to wait on, and no clock)
                await asyncio.sleep(LOOK_S)


def _word() -> str:
    letters = string.ascii_lowercase
    drawn = "".join(letters[byte % len(letters)] for byte in os.urandom(WORD_LETTERS))
    return f"vedette-drill-{drawn}"


def _address() -> str:
    """One of this host's 16 million, never the one that everybody uses."""
    first, second, third = os.urandom(3)
    return f"127.{1 + first % 254}.{second}.{1 + third % 254}"


def _folder(watch: Sequence[str]) -> str:
    """A watched folder in which everybody may make files and nobody those of others, or ""."""
    found = [path for path in watch if _is_for_everybody(path)]
    return next((path for path in found if is_in_memory(Path(path))), found[0] if found else "")


def _is_for_everybody(path: str) -> bool:
    with contextlib.suppress(OSError):
        mode = os.lstat(path).st_mode
        return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX) and bool(mode & stat.S_IWOTH)
    return False
