"""The sentinel: sensors, core, journal and signing key in one process without a network.

Rule 1: the start goes state and journal, trust and rules, sockets; then privileges are given up;
then the sensors prove themselves; then "ready".
Rule 2: the end goes back the same way: the kernel is left as it was found, incidents are closed
and written, the uplink delivers what it can, the journal closes.
Rule 3: a broken invariant ends the process with its traceback; the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vedette import __version__
from vedette.codec import ocsf
from vedette.codec.bundle import decode_in_slices
from vedette.core.agent import Agent, AgentSettings
from vedette.core.recording import encode_header
from vedette.daemon import assembly, collector, device_key, folders, guard, heartbeat, lean, signals
from vedette.daemon import config as configuration
from vedette.daemon.answers import Answers
from vedette.daemon.beating import Heart, Vitals
from vedette.daemon.checkpoints import Checkpoints
from vedette.daemon.checks import Checks
from vedette.daemon.config import Config
from vedette.daemon.content_source import Chosen, nothing_chosen
from vedette.daemon.control import ControlServer
from vedette.daemon.defending import Defending
from vedette.daemon.delivery import Delivery
from vedette.daemon.drills import Drills
from vedette.daemon.drills import Sources as DrillSources
from vedette.daemon.evidence import Evidence
from vedette.daemon.good_copies import FILE_BYTES, GoodCopyKeeper, Upkeep
from vedette.daemon.kept_responses import CHECKPOINT_S
from vedette.daemon.ladder import Ladder
from vedette.daemon.learning import LOOK_S
from vedette.daemon.live_config import live_changes
from vedette.daemon.mounts import is_in_memory
from vedette.daemon.notify import Notifier
from vedette.daemon.operators import Operators
from vedette.daemon.own_reports import OwnReports, told_before
from vedette.daemon.profiles import Profiles
from vedette.daemon.rules_trials import RulesTrials, TrialStep
from vedette.daemon.scanning import Scanning
from vedette.daemon.self_watch import SelfWatch
from vedette.daemon.shell import Shell, now
from vedette.daemon.turns import in_loop
from vedette.errors import ConfigError, StoreError, TrustError
from vedette.kernel.priority import hasten
from vedette.kernel.ticks import next_tick_s
from vedette.model.finding import Incident
from vedette.model.journal import Entry, EntryDraft
from vedette.model.message import Identity
from vedette.model.response import Mode
from vedette.model.rule import Bundle
from vedette.model.tier import TierReport
from vedette.ports.sensor import Sensor
from vedette.sensors.listeners import ListenersSensor
from vedette.sensors.scan import ScanSensor
from vedette.store.baseline import SqliteBaseline
from vedette.store.good_copies import FileGoodCopies
from vedette.store.journal import SqliteJournal
from vedette.store.journal_core import JournalPlace
from vedette.store.state import FileState
from vedette.uplink.link import LinkUplink

if TYPE_CHECKING:
    from vedette.daemon.evidence import Evidence
    from vedette.daemon.update_schedule import UpdateSchedule

SWEEP_S = 60.0
DRAIN_S = 3.0
"""What the uplink has at the end to deliver what was just written."""
SWITCH_S = 0.001
"""Threads of ours wait for disks; where one computes, the loop must not wait 5 ms for its turn."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
    return signals.run(Sentinel(config, config_path, record).run())


class Sentinel:
    """One run of the sentinel; its parts are public for those who answer questions about them."""

    def __init__(self, config: Config, config_path: Path, record: Path | None) -> None:
        self.config = config
        self.config_path = config_path
        self._state_dir, self._run_dir = Path(config.paths.state), Path(config.paths.run)
        boot = BOOT_ID.read_text("ascii").strip().replace("-", "")
        device = config.device
        self.identity = Identity(device.tenant, device.id, boot)
        self.signer, _ = device_key.made_once(Path(config.identity.key), self._state_dir)
        self._state = FileState(self._state_dir)
        self._sources = assembly.sources(config, self._state, self._parse_rules)
        self.chosen: Chosen[Bundle] = nothing_chosen()
        place = JournalPlace(
            self._state_dir / "journal",
            self._run_dir,
            boot,
            limit_bytes=config.journal.max_mb << 20,
        )
        self.journal = SqliteJournal(
            place, state=self._state, signer=self.signer, on_report=self._journal_mended
        )
        self.baseline = SqliteBaseline(self._state_dir)
        settings = AgentSettings(
            device.tenant,
            device.id,
            boot,
            float(config.incidents.quiet_s),
            device.class_,
            config.response.profile,
            Mode(config.response.mode),
        )
        self.agent = Agent(settings)
        self.shell = Shell(
            self.agent,
            self.journal,
            self._recorded,
            self._rescan,
            _open(record, settings),
        )
        self._own = OwnReports(self.shell, self._run_dir)
        self.profiles = Profiles(
            self.shell, self._own, device=device, boot=boot, state_dir=self._state_dir
        )
        good_copies = FileGoodCopies(self._state_dir, file_bytes=FILE_BYTES)
        copying = Upkeep(GoodCopyKeeper(self.baseline, good_copies), self._own.mended)
        self.scanning = Scanning(self.shell, copying, self._baseline_changed)
        self.defending = Defending(
            self.shell,
            self._own,
            self.journal,
            self._state,
            config=config,
            responders=assembly.responders(config, self.baseline, good_copies),
            boot=boot,
        )
        self.operators = Operators(
            assembly.operator_gate(config, self._state, lambda: self._sources.document),
            shell=self.shell,
            responses=self.defending.responding,
            evidence=self._evidence,
            largest_bytes=self._largest_bytes,
            ask_update=self._ask_update,
        )
        self.rules_trials = RulesTrials(
            lambda: self._sources.rules, self._choose_content, self._tell_trial
        )
        self.shell.on_settled = self.rules_trials.settled
        self._updates: UpdateSchedule | None = None
        self.exec_holder = assembly.exec_holder(
            config, self.shell, self.baseline, lambda: self.profiles.in_force
        )
        self.drills = Drills(
            self.shell,
            DrillSources(
                reports=self._reports,
                rehearse=self.defending.responding.rehearse,
                responders=self.defending.responding.responders.targets,
                check=self._prove,
            ),
            watch=config.files.watch,
            every_s=config.drill.every_m * 60.0,
            unit=next((one.unit for one in config.essential.functions if one.unit), ""),
        )
        self.answers = Answers(self)
        self.ladder = self._new_ladder()
        self.watching = SelfWatch(
            self.shell,
            self._own,
            (self._state_dir, self._state_dir / "journal", self._run_dir),
            lambda: self.ladder,
        )
        self.checks = Checks(lambda is_asked: self.watching.check(is_asked=is_asked))
        self.notifier = Notifier(os.environ)
        self.started_s = now()[0]
        self.delivery: Delivery | None = None
        self._hastened = ""
        self._heart = Heart(
            self.identity,
            self.signer,
            self.journal,
            self.baseline,
            Vitals(
                reports=self._reports,
                rules=lambda: self.chosen.digest,
                profile=lambda: self.profiles.digest,
                incidents_open=lambda: len(self.agent.incidents),
                is_scanning=lambda: self.scanning.is_running,
                publish=self._publish_state,
            ),
        )
        self.checkpoints = Checkpoints(
            self.journal, self.identity, self.signer, self._state_dir,
            baseline=lambda: self._heart.baseline_digest, report=self._own.checkpoints,
            added=self._poke, wall=lambda: now()[1],
        )  # fmt: skip
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop
        self._failure: BaseException | None = None

    async def run(self) -> int:
        """Start, watch, stop; returns the exit code."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._broken)
        stop, reload = self._stop.set, self._reload.set
        with signals.heard({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}):
            await self._run()
        if self._failure is not None:
            raise RuntimeError("the sentinel is broken") from self._failure
        return 0

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file wholly or not at all; returns what changed.

        Raises:
            ConfigError: the file has mistakes, or changes what only a restart can change.
            TrustError: the new trust document or all bundles are refused.
        """
        async with self._reloading:
            return await self._reload_now()

    async def _reload_now(self) -> tuple[str, ...]:
        self.notifier.reloading()
        self.watching.look_after_folders()
        try:
            changed = await self._apply(configuration.load(self.config_path))
        except (ConfigError, TrustError) as error:
            self._own.reload_refused(str(error))
            raise
        finally:
            self.notifier.ready(self.answers.headline())
        self.shell.note("reload", ocsf.canonical({"changed": list(changed)}))
        return changed

    async def _run(self) -> None:
        # Before there is a thread: all of them are to have it.
        nice = self.config.response.nice
        self._hastened = hasten(nice) or f"nice {nice}"
        problems = [
            *assembly.restore_kernel(self._run_dir),
            *assembly.recover(self.defending.responding.responders),
            *self.baseline.open(),
            *await self.journal.open(),
            *filter(None, [device_key.remember(self.signer, self._state)]),
        ]
        try:
            await self._serve(problems)
        finally:
            await self.journal.close()
            self.baseline.close()

    async def _serve(self, problems: Sequence[str]) -> None:
        start = {"version": __version__, "pid": os.getpid(), "priority": self._hastened}
        self.shell.note("start", ocsf.canonical(start))
        self._own.mended(problems)
        self._own.parts()
        if is_in_memory(self._state_dir):
            self._own.state_in_memory(self._state_dir)
        await self.rules_trials.start()
        await self._choose_content()
        self.profiles.learning.open()
        link = assembly.link_uplink(self.config)
        self.delivery = self._new_delivery(link, await told_before(self.journal))
        control = ControlServer(
            self.config.control_socket,
            handlers=self.answers.handlers(),
            streams=self.answers.streams(),
            max_clients=self.config.control.max_clients,
        )
        control.open()
        if self.exec_holder is not None:
            self.exec_holder.open()
        birth = heartbeat.birth(self.identity, self.signer.public_key, self.chosen.digest)
        await self.delivery.open(birth=birth, will=heartbeat.WILL)
        self.watching.guard = guard.of_sentinel(self, control, link)
        self.watching.guard.open()
        assembly.drop_privileges(self.config)
        try:
            await self._run_parts(self.delivery, control)
        finally:
            self.watching.guard.close()
            control.close()
            await self.delivery.close()

    async def _run_parts(self, delivery: Delivery, control: ControlServer) -> None:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self.shell.run())
            others = [
                group.create_task(delivery.run()),
                group.create_task(control.serve()),
                group.create_task(self.defending.responding.run()),
                group.create_task(self.rules_trials.run()),
                hearing := group.create_task(self._hear_operators()),
                watching := group.create_task(self._watch()),
            ]
            if self.exec_holder is not None:
                others.append(group.create_task(self.exec_holder.run()))
            await self._stop.wait()
            self.notifier.stopping()
            watching.cancel()
            hearing.cancel()
            await asyncio.wait([watching, hearing])
            self._own.left(await self.ladder.close())
            await self.profiles.learning.save()
            self._own.left(await self.defending.responding.close())
            self.shell.note("stop", ocsf.canonical({"pid": os.getpid()}))
            writing.cancel()
            await asyncio.wait([writing])
            await self.shell.stop()
            await self.checkpoints.add()
            delivery.poke()
            if delivery.session.is_up:
                await delivery.drain(DRAIN_S)
            for task in others:
                task.cancel()

    async def _watch(self) -> None:
        """Open the sources, then look after them until cancelled."""
        self.shell.seed()
        self.defending.untouchables.look()
        await self.defending.responding.resumed.wait()
        await self._climb()
        await self.watching.look()
        self.notifier.ready(self.answers.headline())
        lean.settle()
        await self._heart.beat()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.checks.run())
            group.create_task(self.defending.essentials.run())
            group.create_task(self.drills.run())
            group.create_task(_every(SWEEP_S, self._sweep))
            group.create_task(_every(guard.LOOK_S, self.watching.look))
            group.create_task(_every(SWEEP_S, self.defending.responding.look))
            group.create_task(_every(CHECKPOINT_S, self.defending.responding.kept.checkpoint))
            group.create_task(_every(heartbeat.PERIOD_S, self._heart.beat))
            group.create_task(self.checkpoints.run())
            group.create_task(_every(LOOK_S, self.profiles.learning.look))
            group.create_task(self._reload_when_asked())
            if self.config.updates.enabled:
                group.create_task(self._schedule().run())
            if self.notifier.watchdog_period_s > 0:
                group.create_task(_every(self.notifier.watchdog_period_s, self.notifier.watchdog))

    async def _hear_operators(self) -> None:
        """Not before it is known what holds from before: a command may undo that."""
        await self.defending.responding.resumed.wait()
        await self.operators.run()

    async def _climb(self) -> None:
        """Open the sources; a file that changed before they were open is found by a scan after."""
        self.shell.observe(await self.ladder.climb())
        self.profiles.tell_standing()
        self.scanning.request("the sources are open", is_urgent=True)

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            with contextlib.suppress(ConfigError, TrustError):  # told by reload itself
                await self.reload()

    async def _apply(self, config: Config) -> tuple[str, ...]:
        changed = live_changes(self.config, config, self.config_path)
        self._sources = assembly.sources(config, self._state, self._parse_rules)
        self.config = config
        await self._choose_content()
        if changed & {"files", "sensors"}:
            self._own.left(await self.ladder.close())
            self.ladder = self._new_ladder()
            await self.ladder.guard(self.watching.own_pids)
            await self._climb()
        return (*sorted(changed), "rules re-read")

    def _reports(self) -> Sequence[TierReport]:
        return self.ladder.reports()

    async def _prove(self) -> None:
        await self.checks.ask()

    def _sweep(self) -> None:
        self.watching.look_after_folders()
        self.defending.untouchables.look()
        self.shell.sweep()

    def _parse_rules(self, payload: bytes) -> Bundle:
        return in_loop(decode_in_slices(payload), self._loop)

    async def _choose_content(self) -> None:
        """In a thread: reading, verifying and syncing take longer than events may wait."""
        with collector.paused():
            self.chosen = await asyncio.to_thread(self._sources.rules.choose)
            if self.chosen.content is not None:
                is_trial = self.rules_trials.is_tried(self.chosen)
                await self.shell.load_rules(self.chosen.content, is_trial=is_trial)
            await self.profiles.choose(self._sources.profiles)
            await self.defending.choose(self._sources.playbooks)
        if self.exec_holder is not None:
            self.exec_holder.refresh()
        self._own.rules(self.chosen)
        await self.rules_trials.begun(self.chosen)

    async def _ask_update(self, by: str, rollback: str) -> str:
        if not self.config.updates.enabled:
            return "this device is configured to take no releases ([updates])"
        return await self._schedule().ask(by, rollback=rollback)

    def _schedule(self) -> UpdateSchedule:
        if self._updates is None:
            from vedette.daemon.update_schedule import UpdateSchedule  # noqa: PLC0415 (opt-in)

            self._updates = UpdateSchedule(self.config, self.shell.report, self._wake_keeper)
        return self._updates

    def _wake_keeper(self) -> bool:
        return self.notifier.status(self.answers.headline())

    async def _tell_trial(self, step: TrialStep) -> None:
        from vedette.daemon import update_answers  # noqa: PLC0415 (rare: not resident)

        await update_answers.UpdateAnswers(update_answers.device_of(self)).tell_trial(step)

    def _journal_mended(self, lines: list[str]) -> None:
        self._own.mended(lines)

    async def record(self, draft: EntryDraft) -> Entry:
        """Record at once, past whatever waits; when this returns it is on the disk.

        Raises:
            StoreError: the journal is kept in memory, since the disk refuses it.
        """
        (entry,) = await self.journal.append([draft])
        self._poke()
        status = self.journal.status()
        if status.is_degraded:
            raise StoreError(f"the journal is kept in memory only: {status.reason}")
        return entry

    def _poke(self) -> None:
        if self.delivery is not None:
            self.delivery.poke()

    def _recorded(self, entries: Sequence[Entry], incidents: Sequence[Incident]) -> None:
        del entries
        self._poke()
        self.answers.recorded(incidents)

    def _new_delivery(self, link: LinkUplink, told: Mapping[str, str]) -> Delivery:
        return Delivery(
            self.journal,
            link,
            self.signer,
            self.identity,
            encoding=self.config.uplink.encoding,
            budget_bytes_per_day=self.config.uplink.budget_bytes_per_day,
            report=self._own.uplink,
            clock=lambda: now()[0],
            wall_clock=lambda: now()[1],
            on_events=self.shell.observe,
            on_down=self.operators.hear,
            told=told,
        )

    def _evidence(self) -> Evidence:
        from vedette.daemon.evidence import Evidence  # noqa: PLC0415 (late, for its memory)

        return Evidence(self.identity, self.agent, self.journal)

    def _publish_state(self, body: bytes) -> None:
        if self.delivery is not None:
            self.delivery.publish_state(body)

    def _largest_bytes(self) -> int:
        return self.delivery.session.maximum_packet_bytes if self.delivery is not None else 0

    def _new_ladder(self) -> Ladder:
        return assembly.ladder(self.config, self.shell.observe, self.baseline, self._opened)

    def _opened(self, sensor: Sensor) -> None:
        """The scan learns who changed a file, and hears when events about files were lost."""
        if isinstance(sensor, ListenersSensor):
            self.profiles.listeners = sensor
        if isinstance(sensor, ScanSensor):
            self.scanning.opened(sensor)

    def _rescan(self, reason: str) -> None:
        self.scanning.request(reason)

    def _baseline_changed(self) -> None:
        """The next checkpoint must hold the baseline's new digest, and the holder follows."""
        self._heart.baseline_digest = ""
        if self.exec_holder is not None:
            self.exec_holder.refresh()

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback is a broken invariant: end, and let the supervisor know."""
        error = context.get("exception")
        self._failure = error if isinstance(error, BaseException) else RuntimeError(str(context))
        loop.default_exception_handler(context)
        self._stop.set()


def _open(record: Path | None, settings: AgentSettings) -> BinaryIO | None:
    if record is None:
        return None
    stream = record.open("xb", buffering=0)  # a crash must find the last input written
    stream.write(encode_header(settings))
    return stream


async def _every(period_s: float, act: Callable[[], object]) -> None:
    """Call `act` at every tick of a period (kernel/ticks.py); a coroutine is awaited."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(next_tick_s(loop.time(), period_s) - loop.time())
        result = act()
        if asyncio.iscoroutine(result):
            await result
