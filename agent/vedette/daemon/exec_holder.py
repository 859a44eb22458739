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
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from vedette.codec.ban_line import (
    LINE_BYTES_MAX,
    Held,
    Pardon,
    Request,
    encode_answer,
    parse_request,
)
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
from vedette.daemon import deny_words
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
REQUEST_S: Final = 2.0
MAX_BANS: Final = 1024
BACKLOG: Final = 16


class ExecHolder:
    """One holder after another; `run` is all that is to be started.

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
        self._is_stale = asyncio.Event()

    async def run(self) -> None:
        """Keep one running until cancelled; then nothing of it is left."""
        self._socket_path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(
                self._serve, self._socket_path, limit=LINE_BYTES_MAX, backlog=BACKLOG
            )
        finally:
            os.umask(before)
        try:
            async with server, asyncio.TaskGroup() as group:
                group.create_task(self._refresh_when_stale())
                await self._keep_one()
        finally:
            self._socket_path.unlink(missing_ok=True)

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
            ours.close()  # the holder frees everybody and ends, and its guardian after it
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
            self._refusal = self._refusal or str(error)
            await child.end()  # the holder is killed with its guardian

    async def _begin(self) -> None:
        await self._refresh()
        await self._push(START_S)

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
        except (OSError, TimeoutError) as error:
            raise RequestError(f"the holder takes no orders: {error}") from error

    def _awaited(self, kind: type[object], number: int) -> asyncio.Future[object]:
        wait = asyncio.get_running_loop().create_future()
        self._answers[kind, number] = wait
        return wait

    def _readable(self, link: socket.socket) -> None:
        try:
            while message := link.recv(MESSAGE_BYTES):
                self._take(message)
        except BlockingIOError:
            return
        except OSError as error:
            self._refusal = self._refusal or f"its socket failed: {error.strerror}"
        asyncio.get_running_loop().remove_reader(link)
        self._give_up("the holder ended")

    def _take(self, message: bytes) -> None:
        try:
            report = parse_report(message)
        except ParseError as error:
            self._refusal = f"it told nonsense: {error}"
            return
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of a response."""
        try:
            async with asyncio.timeout(REQUEST_S + ANSWER_S):
                why_not = await self._answer(await reader.readline())
                writer.write(encode_answer(why_not))
                await writer.drain()
        except (OSError, TimeoutError, ValueError):  # ValueError: a line without end
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> str:
        try:
            await self._carry_out(parse_request(line))
        except (ParseError, RequestError) as error:
            return str(error)
        return ""

    async def _carry_out(self, request: Request) -> None:
        match request:
            case Ban():
                await self.ban(request)
            case Pardon(ban_id):
                await self.pardon(ban_id)
            case Held(ban_id):
                if ban_id not in self.bans or self.in_use is None:
                    raise RequestError("it is not in force")


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


def status(holder: ExecHolder) -> Mapping[str, object]:
    """What `vedette doctor` is told."""
    in_use, alive = holder.in_use, holder.alive
    return {
        "running": in_use is not None,
        "file_systems": in_use.marked if in_use else 0,
        "cached": bool(in_use and in_use.is_cached),
        "bans": len(holder.bans),
        "asked": alive.asked if alive else 0,
        "denied": alive.denied if alive else 0,
        "problems": [*holder.problems, *([in_use.problems] if in_use and in_use.problems else [])],
    }
