"""The sentinel's side of the holder, with one that needs no kernel and behaves as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.simulators import fake_holder

from vedette.codec.ban_line import Held, Pardon, Request, encode_request, parse_answer
from vedette.daemon import exec_holder
from vedette.daemon.deny_lists import Found
from vedette.daemon.deny_words import Report
from vedette.daemon.exec_holder import ExecHolder
from vedette.errors import RequestError
from vedette.model.ban import Ban
from vedette.model.denial import Lists

ROOT = Path(__file__).parents[3]
DEADLINE_S = 10.0
BAN = Ban("00" * 8, "ab" * 32, 5, "/tmp/x")
ESSENTIAL = "/bin/sh"


class Run:
    """A holder of a behaviour, and what was told."""

    def __init__(self, folder: Path, behaviour: str) -> None:
        self.socket = folder / "deny.sock"
        self.told: list[Report] = []
        start = (
            f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'agent')!r}]; "
            f"from {fake_holder.__name__} import main; sys.exit(main({behaviour!r}))"
        )
        self.holder = ExecHolder(
            self.socket,
            lambda: Found(Lists(essential=frozenset({ESSENTIAL})), ("left out",)),
            self.told.append,
            (sys.executable, "-I", "-c", start),
        )

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():  # noqa: ASYNC110 (of parts that tell nobody)
                await asyncio.sleep(0.002)

    async def up(self) -> None:
        await self.until(lambda: self.holder.in_use is not None)

    async def ask(self, request: Request | bytes) -> str:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(request if isinstance(request, bytes) else encode_request(request))
            async with asyncio.timeout(DEADLINE_S):
                return parse_answer(await reader.readline())
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def running(folder: Path, behaviour: str = "well") -> AsyncIterator[Run]:
    run = Run(folder, behaviour)
    run.holder.open()
    task = asyncio.get_running_loop().create_task(run.holder.run())
    try:
        yield run
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_holder, "LOOK_S", 0.02)
    monkeypatch.setattr(exec_holder, "ANSWER_S", 2.0)


def test_a_ban_is_answered_when_it_is_in_force(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            assert await run.ask(Held(BAN.ban_id)) == "it is not in force"
            assert await run.ask(BAN) == ""
            assert run.holder.in_use is not None
            assert run.holder.in_use.marked == 2  # its content and its path
            assert await run.ask(Held(BAN.ban_id)) == ""
            assert await run.ask(Pardon(BAN.ban_id)) == ""
            assert run.holder.in_use.marked == 0
            assert await run.ask(Pardon(BAN.ban_id)) == ""
            assert run.holder.status()["problems"] == ["left out"]
            assert run.told == []

    asyncio.run(scenario())


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            assert run.socket.stat().st_mode & 0o777 == 0o600
        assert not run.socket.exists()
        assert run.holder.in_use is None

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (BAN._replace(path=ESSENTIAL), "essential"),
        (b"allow all\n", "expected"),
        (b"\xff" * 100 + b"\n", "expected"),
    ],
)
def test_what_may_not_be_is_refused_with_its_reason(
    tmp_path: Path, request_: Request | bytes, reason: str
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            assert reason in await run.ask(request_)
            assert run.holder.bans == {}

    asyncio.run(scenario())


def test_a_line_without_end_costs_its_sender_the_connection_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            _, writer = await asyncio.open_unix_connection(run.socket)
            writer.write(b"b" * 100_000)
            assert await run.ask(BAN) == ""
            writer.close()

    asyncio.run(scenario())


def test_bans_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_holder, "MAX_BANS", 1)

    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            await run.holder.ban(BAN)
            await run.holder.ban(BAN)  # the same one again
            with pytest.raises(RequestError, match="at most 1"):
                await run.holder.ban(BAN._replace(ban_id="11" * 8))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refuses", "no such kernel"),
        ("dies", "ended"),
        ("deaf", "ended"),
        ("babbles", "nonsense"),
        ("forgetful", "has not answered"),
        ("mute", "has not answered"),
    ],
)
def test_a_holder_that_does_not_serve_is_told_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, reason: str
) -> None:
    if reason == "has not answered":  # the others do, however slowly on a busy machine
        monkeypatch.setattr(exec_holder, "ANSWER_S", 0.1)
    if behaviour == "mute":  # the others speak, however slowly this machine starts a process
        monkeypatch.setattr(exec_holder, "START_S", 0.6)

    async def scenario() -> None:
        async with running(tmp_path, behaviour) as run:
            await run.until(lambda: len(run.told) > 1)
            for report in run.told:
                assert report.condition == "holder-lost"
                assert reason in report.fields["Reason"]

    asyncio.run(scenario())


def test_a_ban_that_nobody_holds_is_no_ban(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_holder, "START_S", 0.2)

    async def scenario() -> None:
        async with running(tmp_path, "refuses") as run:
            await run.until(lambda: bool(run.told))
            with pytest.raises(RequestError):
                await run.holder.ban(BAN)
            assert run.holder.bans == {}
            assert await run.ask(Held(BAN.ban_id)) == "it is not in force"

    asyncio.run(scenario())


def test_bans_outlive_a_holder(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await run.up()
            await run.holder.ban(BAN)
            run.holder.refresh()
            await run.until(lambda: run.holder.status()["bans"] == 1)
            in_use = run.holder.in_use
            assert in_use is not None
            await run.until(lambda: run.holder.in_use is not in_use)
            assert run.holder.in_use is not None
            assert run.holder.in_use.marked == 2

    asyncio.run(scenario())
