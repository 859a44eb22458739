"""How many responses are undone exactly: at once, after a kill -9, and in a new boot.

Rule 1: real responders act in the scenes of their contract suite (tests/contract/scenes), driven by
what drives them in the sentinel (daemon/responding.py) over records on a disk.
Rule 2: the agent's life is a process of its own where it is ended by SIGKILL, at a moment drawn
from the whole time that the response takes; the next life has nothing but what is on the disk.
Rule 3: exact means that the scene looks from outside as it did before: content, metadata, rules.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, figure
from tests.contract.test_responder_contract import CLASSES, World, scene_class
from tests.simulators.memory_journal import MemoryJournal

from vedette.codec import kept_response
from vedette.core.agent import Agent, AgentSettings
from vedette.daemon.responder_calls import Responders
from vedette.daemon.responding import Responding
from vedette.daemon.shell import Shell
from vedette.errors import DeviceError
from vedette.model.response import Order, ResponseStatus
from vedette.store.responses import ResponseStore
from vedette.store.shelf import FileShelf

RUNS, QUICK_RUNS = 100, 4
BOOT, NEXT_BOOT = "1" * 32, "2" * 32
DEADLINE_S: Final = 30.0
LOOK_S: Final = 0.002
WAYS: Final = ("at once", "after kill -9", "in a new boot")

Story = Callable[[Responding], Awaitable[None]]


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Each responder that has an undo, in each way."""
    if os.geteuid() != 0:
        raise DeviceError("only root can contain anything: run it with sudo")
    runs = QUICK_RUNS if is_quick else RUNS
    for name in sorted(CLASSES):
        if not CLASSES[name].has_undo:
            continue
        reason = scene_class(name).refusal()
        if reason:
            print(f"# undo, {name}: {reason}", file=sys.stderr)
            continue
        for way in WAYS:
            found = exact(name, way, runs)
            yield figure(f"undo, {name}, {way}: exact", [found], "runs", runs, "all of them")


def exact(name: str, way: str, runs: int) -> int:
    """Contain and undo so often; returns how often all was as before."""
    with tempfile.TemporaryDirectory(dir=_place()) as folder:
        took_s = 0.0
        count = 0
        for number in range(runs):
            place = Path(folder) / str(number)
            place.mkdir()
            world = World(name, place)
            try:
                before = world.scene.state()
                began_s = time.monotonic()
                _PLAYS[way](world, took_s)
                took_s = took_s or time.monotonic() - began_s
                count += _comes_to(world, before)
            finally:
                world.close()
    return count


def _place() -> Path | None:
    """On a disk, where there is one to be had: a file in memory keeps less of its metadata."""
    place = Path("/var/tmp")
    return place if os.access(place, os.W_OK) else None


def _at_once(world: World, took_s: float) -> None:
    del took_s
    order = world.order()

    async def story(responding: Responding) -> None:
        outcome = await responding.ask(order)
        if outcome.status is not ResponseStatus.DONE:
            raise DeviceError(f"{world.name}: expected it to be done, got {outcome}")
        await responding.ask_undo(order.response_id, "bench")

    _live(world, BOOT, story)


def _after_kill(world: World, took_s: float) -> None:
    order = world.order()
    _live_until_killed(world, order, random.uniform(0.0, took_s))

    async def story(responding: Responding) -> None:
        await responding.ask_undo(order.response_id, "bench")  # refused where nothing was begun

    _live(world, BOOT, story)


def _in_a_new_boot(world: World, took_s: float) -> None:
    del took_s
    order = world.order()
    _live_until_killed(world, order)

    async def story(responding: Responding) -> None:
        if CLASSES[world.name].outlives_reboot:
            await _until(world.scene.is_contained)
            await responding.ask_undo(order.response_id, "bench")
        await _until(lambda: not len(responding.kept))

    _live(world, NEXT_BOOT, story)


_PLAYS: Final = {
    "at once": _at_once,
    "after kill -9": _after_kill,
    "in a new boot": _in_a_new_boot,
}


def _live_until_killed(world: World, order: Order, after_s: float = inf) -> None:
    """A life that carries an order out and is ended after a while, or once that is done."""
    ready, telling = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of lives before are over
        pid = os.fork()
    if pid == 0:

        async def story(responding: Responding) -> None:
            os.write(telling, b".")
            await responding.ask(order)
            os.write(telling, b".")
            await asyncio.get_running_loop().create_future()

        try:
            _live(world, BOOT, story)
        finally:
            os._exit(1)
    try:
        os.close(telling)
        os.read(ready, 1)
        select.select([ready], [], [], min(after_s, DEADLINE_S))
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _live(world: World, boot: str, story: Story) -> None:
    """One life of what carries responses out, to its regular end."""
    asyncio.run(_life(world, boot, story))


async def _life(world: World, boot: str, story: Story) -> None:
    agent = Agent(AgentSettings("bench", "bench", boot))
    journal = MemoryJournal()
    shell = Shell(agent, journal, lambda *_: None, lambda _: None)
    responder = world.responder()
    responder.recover()
    responding = Responding(
        shell, journal, Responders({world.name: responder}, {}), _store(world),
        boot=boot, on_promote=lambda _: None,
    )  # fmt: skip
    shell.on_defence = responding.carry_out
    await journal.open()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        tasks = [group.create_task(shell.run()), group.create_task(responding.run())]
        try:
            await responding.resumed.wait()
            await story(responding)
        finally:
            await responding.close()
            for task in tasks:
                task.cancel()


def _store(world: World) -> ResponseStore:
    lasting, passing = (
        FileShelf(folder / "responses", max_bytes=kept_response.MAX_BYTES)
        for folder in (world.state_dir, world.run_dir)
    )
    return ResponseStore(lasting, passing)


def _comes_to(world: World, before: object) -> bool:
    """Whether the scene is as before, within a moment: who was let go on may not yet run."""
    ends_s = time.monotonic() + DEADLINE_S
    while world.scene.state() != before:
        if time.monotonic() > ends_s:
            return False
        time.sleep(LOOK_S)
    return True


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 (the kernel tells nobody)
        await asyncio.sleep(LOOK_S)
