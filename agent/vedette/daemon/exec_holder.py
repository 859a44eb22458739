"""Keeps a holder running, gives it its lists, and tells people what it decided.

Rule 1: without a holder everything may be executed, and that is a finding; it is started again,
after a pause where it fails again and again.
Rule 2: a ban is answered only when the holder has said that it is in force.
Rule 3: a holder that does not answer a question within ANSWER_S is ended, and its guardian with it:
then nobody has a copy of the group and the kernel lets everybody go.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from vedette.codec.holder_orders import encode_lists, encode_question
from vedette.codec.holder_reports import (
    MESSAGE_BYTES,
    Alive,
    Decision,
    Freed,
    Gap,
    InUse,
    Refused,
    parse_report,
)
from vedette.codec.strict_json import Json
from vedette.daemon import ban_desk, deny_words
from vedette.daemon.deny_lists import Found
from vedette.daemon.deny_words import Report
from vedette.daemon.restart_budget import RestartBudget
from vedette.errors import ParseError, RequestError, StoreError
from vedette.model.ban import Ban
from vedette.model.denial import Lists
from vedette.sensors._child import Child
from vedette.sensors._mounts_watch import MountsWatch

PROGRAM: Final = (sys.executable, "-I", "-m", "vedette.daemon.holder")
LOOK_S: Final = 10.0
"""Between questions whether it is alive, while nothing else shows it."""
ANSWER_S: Final = 2.0
"""Lists of a large system take it some 0.1 s."""
START_S: Final = 10.0
"""Python's own start, on a slow device that is busy starting too."""
END_S: Final = 1.0
MAX_BANS: Final = 1024


HolderReport: TypeAlias = InUse | Decision | Gap | Freed | Alive | Refused


class ExecHolder:
    """One holder after another; `open`, then `run`.

    Args:
        socket_path: where responses ask for bans.
        build: makes the lists anew; it is called in a thread.
        tell: takes a finding.
        program: argv of a holder.

    Attributes:
        in_use: what the running holder last said of its lists, None while none runs.
        alive: its last answer to the question whether it is.
        problems: what of the configuration is not in force, in words.
        bans: by their id.
    """

    def __init__(
        self,
        socket_path: Path,
        build: Callable[[], Found],
        tell: Callable[[Report], None],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._socket_path = socket_path
        self._listening: socket.socket
        self._build = build
        self._tell = tell
        self._program = program
        self.in_use: InUse | None = None
        self.alive: Alive | None = None
        self.problems: tuple[str, ...] = ()
        self.bans: dict[str, Ban] = {}
        self._lists = Lists()
        self._generation = 0
        self._tickets = 0
        self._pushing = asyncio.Lock()
        self._answers: dict[tuple[type[object], int], asyncio.Future[object]] = {}
        self._link: socket.socket | None = None
        self._refusal = ""
        self._is_up = asyncio.Event()
        self._is_stale = asyncio.Event()

    def open(self) -> None:
        """Make the socket; who asks early waits in its queue until `run` runs.

        Raises:
            DeviceError: the folder is missing or not ours.
        """
        self._listening = ban_desk.listen(self._socket_path)

    async def run(self) -> None:
        """Keep one running until cancelled; then nothing of it is left."""
        async with ban_desk.served(self._listening, self), asyncio.TaskGroup() as group:
            group.create_task(self._refresh_when_stale())
            await self._keep_one()

    def refresh(self) -> None:
        """The profile, the baseline or the mounts changed: the lists are made anew."""
        self._is_stale.set()

    async def ban(self, ban: Ban) -> None:
        """Deny a file; returns when that is in force.

        Raises:
            RequestError: it may not be denied, or there is no holder to do it.
        """
        if ban.path in self._lists.essential:
            raise RequestError("it is essential: without it this device cannot be mended")
        if len(self.bans) >= MAX_BANS and ban.ban_id not in self.bans:
            raise RequestError(f"expected at most {MAX_BANS} bans, got one more")
        before = self.bans.get(ban.ban_id)
        await _within(START_S / 2, self._is_up.wait(), "start")
        self.bans[ban.ban_id] = ban
        try:
            await self._push()
        except RequestError:
            self.bans.pop(ban.ban_id)
            if before is not None:
                self.bans[ban.ban_id] = before
            raise

    async def pardon(self, ban_id: str) -> None:
        """Take a ban back; no holder is as good as a holder without it.

        Raises:
            RequestError: the holder did not say that it has taken it back.
        """
        if self.bans.pop(ban_id, None) is not None and self._link is not None:
            await self._push()

    def check_held(self, ban_id: str) -> None:
        """Return if a ban is in force.

        Raises:
            RequestError: it is not, or no holder runs.
        """
        if ban_id not in self.bans or self.in_use is None:
            raise RequestError("it is not in force")

    async def look(self) -> None:
        """Ask whether it is alive; what does not answer is ended.

        Raises:
            RequestError: none runs, or it did not answer.
        """
        self._tickets += 1
        wait = self._awaited(Alive, self._tickets)
        await self._send(encode_question(self._tickets))
        answer = await _within(ANSWER_S, wait, "is it alive")
        self.alive = answer if isinstance(answer, Alive) else self.alive

    def status(self) -> dict[str, Json]:
        """What `vedette doctor` is told."""
        in_use, alive = self.in_use, self.alive
        unmarked = [in_use.problems] if in_use and in_use.problems else []
        return {
            "running": in_use is not None,
            "file_systems": in_use.marked if in_use else 0,
            "cached": bool(in_use and in_use.is_cached),
            "bans": len(self.bans),
            "asked": alive.asked if alive else 0,
            "denied": alive.denied if alive else 0,
            "problems": [*self.problems, *unmarked],
        }

    async def _keep_one(self) -> None:
        loop, budget = asyncio.get_running_loop(), RestartBudget()
        watch = MountsWatch(loop, self.refresh)
        try:
            while True:
                began_s = loop.time()
                await self._hold()
                self._tell(deny_words.lost(self._refusal))
                await asyncio.sleep(budget.failed(began_s, loop.time()))
        finally:
            watch.close()

    async def _hold(self) -> None:
        """Run one holder until it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._refusal = ""
        child = Child(self._program, theirs.fileno())
        theirs.close()
        self._link = ours
        loop.add_reader(ours, self._readable, ours)
        try:
            await self._tend(child)
        finally:
            loop.remove_reader(ours)
            self._link, self.in_use, self.alive = None, None, None
            self._is_up.clear()
            ours.close()  # the holder frees everybody and ends, and its guardian after it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await child.wait()
            await child.end()
            self._give_up("the holder ended")

    async def _tend(self, child: Child) -> None:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look_after(child))
            await child.wait()
            looking.cancel()

    async def _look_after(self, child: Child) -> None:
        """Give it its lists, then see that it and its guardian go on; else end both."""
        try:
            await self._begin()
            while True:
                await asyncio.sleep(LOOK_S)
                await self.look()
                _check_running(child.pid)
        except RequestError as error:
            if self._link is not None:
                self._readable(self._link)  # its last words may still wait
            self._refusal = self._refusal or str(error)
            await child.end()  # the holder is killed with its guardian

    async def _begin(self) -> None:
        await self._refresh()
        await self._push(START_S)
        self._is_up.set()

    async def _refresh(self) -> None:
        try:
            found = await asyncio.to_thread(self._build)
        except (OSError, ParseError, StoreError) as error:
            raise RequestError(f"its lists cannot be made: {error}") from error
        self._lists, self.problems = found.lists, found.problems

    async def _refresh_when_stale(self) -> None:
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            if self._link is not None:
                with contextlib.suppress(RequestError):  # told where the holder is tended
                    await self._refresh()
                    await self._push()

    async def _push(self, within_s: float = ANSWER_S) -> None:
        """Give the holder all lists and wait until it uses them.

        Raises:
            RequestError: none runs, or it did not answer.
        """
        async with self._pushing:
            self._generation += 1
            wait = self._awaited(InUse, self._generation)
            for message in encode_lists(self._with_bans(), self._generation):
                await self._send(message)
            await _within(within_s, wait, "use these lists")

    def _with_bans(self) -> Lists:
        base, bans = self._lists, self.bans.values()
        digests = {(ban.size_bytes, bytes.fromhex(ban.sha256)) for ban in bans if ban.sha256}
        paths = {ban.path for ban in bans if ban.path}
        return Lists(
            unknown=base.unknown,
            allowed=base.allowed,
            allowed_paths=base.allowed_paths,
            denied=frozenset(digests),
            denied_paths=frozenset(paths),
            essential=base.essential,
            watched=base.watched,
        )

    async def _send(self, message: bytes) -> None:
        link = self._link
        if link is None:
            raise RequestError(f"no holder runs{': ' + self._refusal if self._refusal else ''}")
        try:
            async with asyncio.timeout(START_S):
                await asyncio.get_running_loop().sock_sendall(link, message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise RequestError("the holder ended") from error
        except (OSError, TimeoutError) as error:
            raise RequestError(f"the holder takes no orders: {error}") from error

    def _awaited(self, kind: type[object], number: int) -> asyncio.Future[object]:
        wait = asyncio.get_running_loop().create_future()
        self._answers[kind, number] = wait
        return wait

    def _readable(self, link: socket.socket) -> None:
        try:
            while message := link.recv(MESSAGE_BYTES):
                self._take(parse_report(message))
        except BlockingIOError:
            return
        except ConnectionResetError:
            pass  # it ended with something unread (unix(7)): no word of its own is lost by that
        except (OSError, ParseError) as error:
            self._refusal = self._refusal or f"it told nonsense: {error}"
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # it frees everybody and ends
        asyncio.get_running_loop().remove_reader(link)
        self._give_up("the holder ended")

    def _take(self, report: HolderReport) -> None:
        match report:
            case InUse():
                self.in_use = report
                self._resolve(InUse, report.generation, report)
            case Alive():
                self._resolve(Alive, report.ticket, report)
            case Refused() | Freed():
                self._refusal = deny_words.of_end(report)
                if isinstance(report, Refused):
                    self._give_up(report.why)
            case Decision() | Gap():
                self._tell(deny_words.of_report(report))

    def _resolve(self, kind: type[object], number: int, answer: object) -> None:
        wait = self._answers.pop((kind, number), None)
        if wait is not None and not wait.done():
            wait.set_result(answer)

    def _give_up(self, why: str) -> None:
        for wait in self._answers.values():
            if not wait.done():
                wait.set_exception(RequestError(self._refusal or why))
                wait.exception()  # who no longer waits need not fetch it
        self._answers.clear()


def _check_running(guardian: int) -> None:
    """Whoever is stopped frees nobody (proc_pid_stat(5), field 3)."""
    try:
        state = Path(f"/proc/{guardian}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return  # it has ended, which is seen elsewhere
    if state in {b"T", b"t"}:
        raise RequestError("somebody stopped its guardian")


async def _within(seconds: float, wait: Awaitable[object], what: str) -> object:
    try:
        async with asyncio.timeout(seconds):
            return await wait
    except TimeoutError as error:
        raise RequestError(f"the holder has not answered for {seconds:g} s: {what}") from error
