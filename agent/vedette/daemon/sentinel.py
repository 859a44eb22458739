"""The sentinel: sensors, core, journal and signing key in one process without a network.

Rule 1: the start goes state and journal, trust and rules, sockets; then privileges are given up;
then the sensors prove themselves; then "ready".
Rule 2: the end goes back the same way: the kernel is left as it was found, incidents are closed
and written, the uplink delivers what it can, the journal closes.
Rule 3: a broken invariant ends the process with its traceback; the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vedette import __version__
from vedette.codec import ocsf
from vedette.daemon import assembly, device_key, folders, guard, heartbeat, lean, signals
from vedette.daemon import config as configuration
from vedette.daemon.control import ControlServer
from vedette.daemon.delivery import Delivery
from vedette.daemon.kept_responses import CHECKPOINT_S
from vedette.daemon.learning import LOOK_S
from vedette.daemon.mounts import is_in_memory
from vedette.daemon.parts import Parts
from vedette.kernel.priority import hasten
from vedette.kernel.ticks import next_tick_s

SWEEP_S = 60.0
DRAIN_S = 3.0
"""What the uplink has at the end to deliver what was just written."""
SWITCH_S = 0.001
"""Threads of ours wait for disks; where one computes, the loop must not wait 5 ms for its turn."""


def main(config_path: Path, record: Path | None = None) -> int:
    """Run the sentinel until SIGTERM or SIGINT; returns the exit code.

    Raises:
        ConfigError: the configuration cannot be used; nothing was started.
        TrustError: the device's key or trust document cannot be used.
        StoreError: the state cannot be read.
        DeviceError: another sentinel uses the state.
    """
    # What hangs is ended by SIGABRT (daemon/keeper.py): where it hung, and no dump of the key.
    faulthandler.enable()
    sys.setswitchinterval(SWITCH_S)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    config = configuration.load(config_path)
    folders.hold(folders.prepare(config.paths.state, "[paths] state"))
    folders.prepare(config.paths.run, "[paths] run")
    return signals.run(Sentinel(Parts(config, config_path, record)).run())


class Sentinel:
    """One run of the sentinel.

    Args:
        parts: made, and not running.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self) -> int:
        """Start, watch, stop; returns the exit code."""
        asyncio.get_running_loop().set_exception_handler(self._broken)
        stop, reload = self._stop.set, self._parts.reloading.ask
        with signals.heard({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}):
            await self._run()
        if self._failure is not None:
            raise RuntimeError("the sentinel is broken") from self._failure
        return 0

    async def _run(self) -> None:
        parts = self._parts
        # Before there is a thread: all of them are to have it.
        nice = parts.config.response.nice
        hastened = hasten(nice) or f"nice {nice}"
        problems = [
            *assembly.restore_kernel(parts.run_dir),
            *assembly.recover(parts.defending.responding.responders),
            *parts.baseline.open(),
            *await parts.journal.open(),
            *filter(None, [device_key.remember(parts.signer, parts.state)]),
        ]
        start = {"version": __version__, "pid": os.getpid(), "priority": hastened}
        try:
            await self._serve(ocsf.canonical(start), problems)
        finally:
            await parts.journal.close()
            parts.baseline.close()

    async def _serve(self, start: bytes, problems: Sequence[str]) -> None:
        parts = self._parts
        parts.shell.note("start", start)
        parts.own.mended(problems)
        parts.own.parts()
        if is_in_memory(parts.state_dir):
            parts.own.state_in_memory(parts.state_dir)
        await parts.content.start()
        parts.profiles.learning.open()
        delivery, link = await parts.outgoing.make()
        control = ControlServer(
            parts.config.control_socket,
            handlers=parts.answers.handlers(),
            streams=parts.answers.streams(),
            max_clients=parts.config.control.max_clients,
        )
        control.open()
        if parts.exec_holder is not None:
            parts.exec_holder.open()
        await delivery.open(birth=parts.outgoing.birth(), will=heartbeat.WILL)
        guarding = parts.watching.guard = guard.of_sentinel(parts, control, link)
        guarding.open()
        assembly.drop_privileges(parts.config)
        try:
            await self._run_parts(delivery, control)
        finally:
            guarding.close()
            control.close()
            await delivery.close()

    async def _run_parts(self, delivery: Delivery, control: ControlServer) -> None:
        parts = self._parts
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(parts.shell.run())
            others = [
                group.create_task(delivery.run()),
                group.create_task(control.serve()),
                group.create_task(parts.defending.responding.run()),
                group.create_task(parts.content.trials.run()),
                hearing := group.create_task(self._hear_operators()),
                watching := group.create_task(self._watch()),
            ]
            if parts.exec_holder is not None:
                others.append(group.create_task(parts.exec_holder.run()))
            await self._stop.wait()
            parts.notifier.stopping()
            watching.cancel()
            hearing.cancel()
            await asyncio.wait([watching, hearing])
            await parts.sensing.close()
            await parts.profiles.learning.save()
            parts.own.left(await parts.defending.responding.close())
            parts.shell.note("stop", ocsf.canonical({"pid": os.getpid()}))
            writing.cancel()
            await asyncio.wait([writing])
            await parts.shell.stop()
            await parts.checkpoints.add()
            delivery.poke()
            if delivery.session.is_up:
                await delivery.drain(DRAIN_S)
            for task in others:
                task.cancel()

    async def _watch(self) -> None:
        """Open the sources, then look after them until cancelled."""
        parts = self._parts
        responding = parts.defending.responding
        parts.shell.seed()
        parts.defending.untouchables.look()
        await responding.resumed.wait()
        await parts.sensing.open()
        await parts.watching.look()
        parts.notifier.ready(parts.answers.headline())
        lean.settle()
        await parts.heart.beat()
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.checks.run())
            group.create_task(parts.defending.essentials.run())
            group.create_task(parts.drills.run())
            group.create_task(_every(SWEEP_S, self._sweep))
            group.create_task(_every(guard.LOOK_S, parts.watching.look))
            group.create_task(_every(SWEEP_S, responding.look))
            group.create_task(_every(CHECKPOINT_S, responding.kept.checkpoint))
            group.create_task(_every(heartbeat.PERIOD_S, parts.heart.beat))
            group.create_task(parts.checkpoints.run())
            group.create_task(_every(LOOK_S, parts.profiles.learning.look))
            group.create_task(parts.reloading.run())
            group.create_task(parts.updating.run())
            if parts.notifier.watchdog_period_s > 0:
                period_s = parts.notifier.watchdog_period_s
                group.create_task(_every(period_s, parts.notifier.watchdog))

    async def _hear_operators(self) -> None:
        """Not before it is known what holds from before: a command may undo that."""
        await self._parts.defending.responding.resumed.wait()
        await self._parts.operators.run()

    def _sweep(self) -> None:
        self._parts.watching.look_after_folders()
        self._parts.defending.untouchables.look()
        self._parts.shell.sweep()

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback is a broken invariant: end, and let the supervisor know."""
        error = context.get("exception")
        self._failure = error if isinstance(error, BaseException) else RuntimeError(str(context))
        loop.default_exception_handler(context)
        self._stop.set()


async def _every(period_s: float, act: Callable[[], object]) -> None:
    """Call `act` at every tick of a period (kernel/ticks.py); a coroutine is awaited."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(next_tick_s(loop.time(), period_s) - loop.time())
        result = act()
        if asyncio.iscoroutine(result):
            await result
