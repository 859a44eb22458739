"""The parts of a sentinel, made from a configuration; nothing runs and nothing is open yet.

Rule 1: what can refuse the whole start (the key, the trust document) is read first.
Rule 2: they are public: whoever runs them, answers about them or guards them is given all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vedette.core.agent import Agent, AgentSettings
from vedette.core.recording import encode_header
from vedette.daemon import assembly, device_key
from vedette.daemon.answers import Answers
from vedette.daemon.beating import Heart, Vitals
from vedette.daemon.checkpoints import Checkpoints
from vedette.daemon.checks import Checks
from vedette.daemon.config import Config
from vedette.daemon.content import Content
from vedette.daemon.defending import Defending
from vedette.daemon.drills import Drills
from vedette.daemon.drills import Sources as DrillSources
from vedette.daemon.good_copies import FILE_BYTES, GoodCopyKeeper, Upkeep
from vedette.daemon.notify import Notifier
from vedette.daemon.operators import Operators
from vedette.daemon.outgoing import Outgoing
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.profiles import Profiles
from vedette.daemon.reloading import Reloading
from vedette.daemon.scanning import Scanning
from vedette.daemon.self_watch import SelfWatch
from vedette.daemon.sensing import Sensing
from vedette.daemon.shell import Shell, now
from vedette.daemon.updating import Updating
from vedette.model.finding import Incident
from vedette.model.journal import Entry
from vedette.model.message import Identity
from vedette.model.response import Mode
from vedette.store.baseline import SqliteBaseline
from vedette.store.good_copies import FileGoodCopies
from vedette.store.journal import SqliteJournal
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState

if TYPE_CHECKING:
    from vedette.daemon.evidence import Evidence

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Parts:
    """All of them, put together.

    Args:
        config: as it was read; `reloading` puts another in its place.
        config_path: where.
        record: where every input of the core is written as well, or None.

    Raises:
        TrustError: the device's key or trust document cannot be used.
        StoreError: the state cannot be read.
    """

    def __init__(self, config: Config, config_path: Path, record: Path | None) -> None:
        self.config, self.config_path = config, config_path
        self.state_dir, self.run_dir = Path(config.paths.state), Path(config.paths.run)
        boot = BOOT_ID.read_text("ascii").strip().replace("-", "")
        self.identity = Identity(config.device.tenant, config.device.id, boot)
        self.signer, _ = device_key.made_once(Path(config.identity.key), self.state_dir)
        self.state = FileState(self.state_dir)
        self.content = Content(self, config, self.state)
        self._make_stores()
        self._make_core(record)
        self._make_defence()
        self._make_sources()
        self._make_reports()
        self.notifier = Notifier(os.environ)
        self.reloading = Reloading(self)
        self.answers = Answers(self)
        self.started_s = now()[0]

    def _make_stores(self) -> None:
        place = JournalPlace(
            self.state_dir / "journal",
            self.run_dir,
            self.identity.boot,
            limit_bytes=self.config.journal.max_mb << 20,
        )
        self.journal = SqliteJournal(
            place, state=self.state, signer=self.signer, on_report=self._journal_mended
        )
        self.baseline = SqliteBaseline(self.state_dir)

    def _make_core(self, record: Path | None) -> None:
        device, response = self.config.device, self.config.response
        settings = AgentSettings(
            device.tenant,
            device.id,
            self.identity.boot,
            float(self.config.incidents.quiet_s),
            device.class_,
            response.profile,
            Mode(response.mode),
        )
        self.agent = Agent(settings)
        recording = _recording(record, settings)
        self.shell = Shell(self.agent, self.journal, self._recorded, self._rescan, recording)
        self.shell.on_settled = self.content.trials.settled
        self.own = OwnReports(self.shell, self.run_dir)
        self.profiles = Profiles(
            self.shell,
            self.own,
            device=device,
            boot=self.identity.boot,
            state_dir=self.state_dir,
        )

    def _make_defence(self) -> None:
        config = self.config
        good_copies = FileGoodCopies(self.state_dir, file_bytes=FILE_BYTES)
        copying = Upkeep(GoodCopyKeeper(self.baseline, good_copies), self.own.mended)
        self.scanning = Scanning(self.shell, copying, self._baseline_changed)
        self.defending = Defending(
            self.shell,
            self.own,
            self.journal,
            self.state,
            config=config,
            responders=assembly.responders(config, self.baseline, good_copies),
            boot=self.identity.boot,
        )
        self.outgoing = Outgoing(self)
        self.updating = Updating(config, self.shell.report, self._wake_keeper)
        self.operators = Operators(
            assembly.operator_gate(config, self.state, lambda: self.content.document),
            shell=self.shell,
            responses=self.defending.responding,
            evidence=self._evidence,
            largest_bytes=self.outgoing.largest_bytes,
            ask_update=self.updating.ask,
        )
        self.exec_holder = assembly.exec_holder(
            config, self.shell, self.baseline, lambda: self.profiles.in_force
        )

    def _make_sources(self) -> None:
        config, responding = self.config, self.defending.responding
        self.sensing = Sensing(self)
        self.watching = SelfWatch(
            self.shell,
            self.own,
            (self.state_dir, self.state_dir / "journal", self.run_dir),
            lambda: self.sensing.ladder,
        )
        self.checks = Checks(lambda is_asked: self.watching.check(is_asked=is_asked))
        self.drills = Drills(
            self.shell,
            DrillSources(
                reports=self.sensing.reports,
                rehearse=responding.rehearse,
                responders=responding.responders.targets,
                check=self.checks.ask,
            ),
            watch=config.files.watch,
            every_s=config.drill.every_m * 60.0,
            unit=next((one.unit for one in config.essential.functions if one.unit), ""),
        )

    def _make_reports(self) -> None:
        self.heart = Heart(
            self.identity,
            self.signer,
            self.journal,
            self.baseline,
            Vitals(
                reports=self.sensing.reports,
                rules=lambda: self.content.chosen.digest,
                profile=lambda: self.profiles.digest,
                incidents_open=lambda: len(self.agent.incidents),
                is_scanning=lambda: self.scanning.is_running,
                publish=self.outgoing.publish_state,
            ),
        )
        self.checkpoints = Checkpoints(
            self.journal, self.identity, self.signer, self.state_dir,
            baseline=lambda: self.heart.baseline_digest, report=self.own.checkpoints,
            added=self.outgoing.poke, wall=lambda: now()[1],
        )  # fmt: skip

    def _journal_mended(self, lines: list[str]) -> None:
        self.own.mended(lines)

    def _recorded(self, entries: Sequence[Entry], incidents: Sequence[Incident]) -> None:
        del entries
        self.outgoing.poke()
        self.answers.recorded(incidents)

    def _rescan(self, reason: str) -> None:
        self.scanning.request(reason)

    def _baseline_changed(self) -> None:
        """The next checkpoint must hold the baseline's new digest, and the holder follows."""
        self.heart.baseline_digest = ""
        if self.exec_holder is not None:
            self.exec_holder.refresh()

    def _evidence(self) -> Evidence:
        from vedette.daemon.evidence import Evidence  # noqa: PLC0415 (late, for its memory)

        return Evidence(self.identity, self.agent, self.journal)

    def _wake_keeper(self) -> bool:
        return self.notifier.status(self.answers.headline())


def _recording(path: Path | None, settings: AgentSettings) -> BinaryIO | None:
    if path is None:
        return None
    stream = path.open("xb", buffering=0)  # a crash must find the last input written
    stream.write(encode_header(settings))
    return stream
