"""The tiers below audit on the real kernel: what they see, and how they say what they miss."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.contract.test_sensor_contract import World
from tests.system.test_audit import run_program, started_by, until

from vedette.codec.procfs import parse_stat
from vedette.errors import SensorError
from vedette.model.event import EventsLost, ProcessExited
from vedette.ports.sensor import SensorContext
from vedette.sensors.proc_connector import ProcConnectorSensor
from vedette.sensors.procfs import ProcfsSensor

PYTHON = os.path.realpath(sys.executable)
LIVES = "import time; time.sleep(60)"


@pytest.fixture
def world(tmp_path: Path, kernel: None) -> World:
    return World(tmp_path)


def context(world: World, **options: int | bool) -> SensorContext:
    return SensorContext(
        emit=world.events.extend, run_dir=world.run_dir, state_dir=world.state_dir, options=options
    )


@pytest.mark.kernel
@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("realtime", [False, True])
def test_the_connector_tells_a_program_that_lives_in_full(world: World, *, realtime: bool) -> None:
    async def run() -> None:
        sensor = ProcConnectorSensor(context(world, realtime=realtime))
        await open_or_skip(sensor)
        living = await asyncio.create_subprocess_exec(sys.executable, "-c", LIVES, "a b")
        try:
            await until(lambda: bool(started_by(world, living.pid)))
            (event,) = started_by(world, living.pid)
            stat = parse_stat(Path(f"/proc/{living.pid}/stat").read_bytes())  # noqa: ASYNC240
            assert event.command_line == f"{sys.executable} -c {LIVES} a b"
            assert (event.is_complete, event.uid, event.ppid) == (True, os.geteuid(), os.getpid())
            assert event.start_ticks == stat.start_ticks
        finally:
            living.kill()
            await living.wait()
            await sensor.close()

    asyncio.run(run())


@pytest.mark.kernel
@pytest.mark.usefixtures("as_root")
def test_a_pid_is_told_though_its_arguments_are_gone(world: World) -> None:
    async def run() -> None:
        sensor = ProcConnectorSensor(context(world))
        await open_or_skip(sensor)
        try:
            # The loop reads only after the program has ended and has been waited for.
            gone = ended_process()
            await until(lambda: bool(started_by(world, gone)))
            (event,) = started_by(world, gone)
            assert (event.command_line, event.is_complete, event.uid) == ("", False, -1)
            assert sensor.counters()["without_arguments"] >= 1
        finally:
            await sensor.close()

    asyncio.run(run())


@pytest.mark.kernel
@pytest.mark.usefixtures("as_root")
def test_a_real_time_reader_that_is_killed_is_a_loss(world: World) -> None:
    async def run() -> None:
        sensor = ProcConnectorSensor(context(world, realtime=True))
        await open_or_skip(sensor)
        try:
            assert sensor._reader is not None
            os.kill(sensor._reader.pid, signal.SIGKILL)
            await until(lambda: any(isinstance(event, EventsLost) for event in world.events))
            with pytest.raises(SensorError, match="saw none"):
                await sensor.prove("afterthekill")
        finally:
            await sensor.close()

    asyncio.run(run())


def test_polling_tells_who_came_and_went_as_an_ordinary_user_too(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def run() -> None:
        sensor = ProcfsSensor(context(world, period_s=1))
        await sensor.open()
        assert world.events == []
        living = await asyncio.create_subprocess_exec(sys.executable, "-c", LIVES, "a b")
        try:
            await until(lambda: bool(started_by(world, living.pid)))
            (event,) = started_by(world, living.pid)
            assert event.command_line == f"{sys.executable} -c {LIVES} a b"
            assert event.image == PYTHON
            assert (event.is_complete, event.ppid) == (True, os.getpid())
            living.kill()
            await living.wait()
            await until(
                lambda: any(
                    isinstance(e, ProcessExited) and e.pid == living.pid for e in world.events
                )
            )
        finally:
            await sensor.close()

    asyncio.run(run())


@pytest.mark.kernel
@pytest.mark.usefixtures("as_root")
def test_failed_executions_are_not_told_by_the_connector(world: World) -> None:
    async def run() -> None:
        sensor = ProcConnectorSensor(context(world))
        await open_or_skip(sensor)
        try:
            with pytest.raises(FileNotFoundError):
                await run_program("/nowhere/at/all")
            pid = await run_program("/bin/true")
            await until(lambda: bool(started_by(world, pid)))
            assert not [e for e in world.events if "nowhere" in repr(e)]
        finally:
            await sensor.close()

    asyncio.run(run())


def ended_process() -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


async def open_or_skip(sensor: ProcConnectorSensor) -> None:
    try:
        await sensor.open()
    except SensorError as error:
        pytest.skip(str(error))
