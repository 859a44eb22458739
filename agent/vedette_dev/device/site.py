"""The host's side of a device under test: broker, repository, keys, and who reads what it tells.

Rule 1: the broker and the repository are real servers on loopback; a guest reaches them by
addresses that its network leads here, and nothing else of the host.
Rule 2: what a device is made with (root of trust, rules, certificates, key) is written into the
folder that becomes its data partition; its public key is enrolled here as a fleet's would be.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from vedette.cli.fleet import add_device
from vedette.codec.registry import Registered
from vedette.daemon import config, units
from vedette.daemon.config import WATCHED
from vedette.model.release import ReleaseKind
from vedette.model.update import Step, UpdateReport
from vedette.sensors.log_file import PATHS as LOGS
from vedette_dev import identity, settings
from vedette_dev.broker import Broker, BrokerSettings
from vedette_dev.folder_server import FolderServer
from vedette_dev.player import Arrivals
from vedette_dev.reader import Reader
from vedette_dev.release_desk import Desk
from vedette_dev.release_device import RUNNER, Steps
from vedette_dev.rules import sealed_rules
from vedette_dev.session import Running

TENANT = "images"
BROKER, REPOSITORY = "10.0.2.101", "10.0.2.102"
"""Addresses of QEMU's user network that lead to the host's loopback."""
BROKER_PORT, REPOSITORY_PORT = 8883, 8080
UNWELL = "/usr/lib/firmware-unwell"
"""A firmware that has this file says of itself that its service does not work."""
STAGE = "/data/stage"
"""The watched throwaway tree of a guest: on the data partition, where it may be changed."""
STEP_PATIENCE_S = 420.0


FIRMWARE: Mapping[str, object] = {
    "backend": "uboot", "settle_s": 5, "trial_s": 240, "look_s": 3,
    "restart": ["/usr/bin/systemctl", "reboot"],
}  # fmt: skip
"""The table [firmware] of a device, for who wants it a little different."""


Heard = Callable[[str, int], None]
"""Gets a text that an entry of the journal holds, and the counter of a firmware, or 0."""


class Owners(NamedTuple):
    """What an image says of itself that a device's own files go by.

    Attributes:
        uplink_gid: the number of the uplink's group.
        build: of the agent in it (daemon/units.py: BUILD).
    """

    uplink_gid: int
    build: str


class Site:
    """A context manager: servers run while it is entered.

    Args:
        folder: for keys, repository and logs; made anew, unless it is kept.
        device: the device's name.
        rules: a folder of Sigma rules, the device's first ones.
        show: takes lines for people.
        is_kept: the folder is that of an earlier site, whose devices hear and are heard again.

    Attributes:
        desk: makes and publishes releases.
        arrivals: verified incidents of the device.
        steps: verified steps of its updates, and incidents.
        on_heard: called, in the reader's thread, with a text that the journal's entry of what was
            heard holds, and with the counter of a firmware that was told as committed, or 0.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        *,
        rules: Path,
        show: Callable[[str], None] = lambda _: None,
        is_kept: bool = False,
    ) -> None:
        self._is_kept = is_kept
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
        self.folder, self.device = folder, device
        self.hardware = device
        self.arrivals, self.steps = Arrivals(), Steps(STEP_PATIENCE_S)
        self.desk = Desk(
            folder / "desk", folder / "served", show, hardware=self.hardware, is_kept=is_kept
        )
        self.on_heard: Heard = lambda _word, _counter: None
        self._rules, self._show = rules, show
        self._exit = contextlib.ExitStack()
        self.broker = Broker(
            BrokerSettings(folder / "broker", devices=(device,), names=(BROKER,), is_kept=True)
        )
        self._server = FolderServer(self.desk.served)
        self.reader = Reader(self._running(), self._hear_incident, on_update=self._hear_step)

    def __enter__(self) -> Self:
        try:
            self._exit.enter_context(self.broker)
            if not self._is_kept:
                self._found()
            self._exit.enter_context(self._server)
            self._exit.enter_context(self.reader)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()

    def _found(self) -> None:
        self.desk.make_keys()
        self.desk.make_repository()
        self.bundle = self._first_rules()
        self._enroll()

    @contextlib.contextmanager
    def listening(self, on_heard: Heard = lambda _word, _counter: None) -> Iterator[Arrivals]:
        """What an operator hears who begins to watch now, and knows nothing of before.

        For a device whose disk went back in time: it counts on from there, and whoever has heard
        it further takes what it says for delivered twice (core/fleet.py, rule 2).

        Args:
            on_heard: as the attribute of the site.

        Raises:
            UplinkError: the broker cannot be reached.
            DeviceError: it does not let us listen.
        """
        arrivals = Arrivals()

        def take(document: Mapping[str, object], came_s: float) -> None:
            arrivals.add(document, came_s)
            _tell_incident(document, on_heard)

        with Reader(
            self._running(), take, on_update=lambda step: _tell_step(step, on_heard)
        ) as reader:
            reader.await_listening()
            yield arrivals

    @property
    def forwards(self) -> Mapping[str, int]:
        """Which address of the guest's network leads to which port of loopback."""
        return {
            f"{BROKER}:{BROKER_PORT}": self.broker.port,
            f"{REPOSITORY}:{REPOSITORY_PORT}": self._server.port,
        }

    def data(
        self, owners: Owners, tables: Mapping[str, Mapping[str, object]] | None = None
    ) -> Path:
        """Write what becomes the device's data partition, anew.

        Args:
            owners: as the image numbers them.
            tables: of the configuration; a table replaces ours of that name.
        """
        folder = self.folder / "data"
        shutil.rmtree(folder, ignore_errors=True)
        state, etc = folder / "vedette", folder / "etc-vedette"
        for made, mode in (
            (folder, 0o755), (state, 0o700), (etc, 0o755), (etc / "tls", 0o750),
            (folder / "stage", 0o755), (folder / "root", 0o700), (folder / "home", 0o755),
            (folder / "root/.ssh", 0o700),
        ):  # fmt: skip
            made.mkdir(mode=mode)
            made.chmod(mode)
        shutil.copyfile(self._key, state / "identity.key")
        (state / "identity.key").chmod(0o600)
        shutil.copyfile(self.bundle, state / "rules.bundle")
        shutil.copyfile(self.desk.trust, etc / "trust.json")
        shutil.copyfile(self.desk.root, etc / "root.json")
        (etc / "runner.awk").write_text(RUNNER)
        (etc / "vedette.toml").write_text(
            settings.text({**self._tables(), **(tables or {})}, by="make qemu-test")
        )
        (folder / "device.log").touch()
        self._place_certificates(etc / "tls", owners)
        self._fit_units(etc, owners.build)
        return folder

    def _first_rules(self) -> Path:
        """Compiled once for all sites of the same rules, which takes many seconds."""
        key = identity.signer(self.desk.keys / identity.RULES)
        bundle = self.folder / "rules.bundle"
        bundle.write_bytes(sealed_rules(self._rules, key, self._show, counter=1))
        return bundle

    def _fit_units(self, etc: Path, build: str) -> None:
        """As `vedette enroll` leaves a device: systemd would wait for Python at each start else."""
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / units.BUILD).write_text(build)
            source = units.source_digest(etc, Path(home))
        units.write(config.load_unnamed(etc / "vedette.toml"), etc / units.FOLDER, source)

    def _place_certificates(self, tls: Path, owners: Owners) -> None:
        pair = self.broker.clients[self.device]
        for source, name, mode in (
            (self.broker.authority.file, "ca.pem", 0o644),
            (pair.certificate, "device.pem", 0o644),
            (pair.key, "device.key", 0o640),
        ):
            shutil.copyfile(source, tls / name)
            (tls / name).chmod(mode)
            os.chown(tls / name, 0, owners.uplink_gid)
        os.chown(tls, 0, owners.uplink_gid)

    def _tables(self) -> dict[str, Mapping[str, object]]:
        tls = "/etc/vedette/tls"
        return {
            "device": {"id": self.device, "tenant": TENANT},
            "files": {"watch": [*WATCHED, STAGE]},
            "sensors.log_file": {"paths": [*LOGS, "/data/device.log"]},
            "uplink": {
                "host": BROKER, "port": BROKER_PORT, "ca": f"{tls}/ca.pem",
                "certificate": f"{tls}/device.pem", "key": f"{tls}/device.key",
            },
            "incidents": {"quiet_s": 60},
            "drill": {"every_m": 0},
            "updates": {
                "source": f"http://{REPOSITORY}:{REPOSITORY_PORT}",
                "root": "/etc/vedette/root.json", "hardware": [self.hardware], "every_m": 0,
            },
            "firmware": FIRMWARE,
            "firmware.health.service": {"command": ["/usr/bin/test", "!", "-e", UNWELL]},
            "models.runners.linear": {
                "argv": ["/usr/bin/awk", "-f", "/etc/vedette/runner.awk", "{entry}", "{input}"],
            },
        }  # fmt: skip

    @property
    def _key(self) -> Path:
        return self.folder / "device.key"

    def _enroll(self) -> None:
        key = identity.signer(self._key).public_key
        found = Registered(TENANT, self.device, key, "a guest of QEMU, for tests")
        add_device(self._registry, found, is_replacing=True)

    @property
    def _registry(self) -> Path:
        return self.folder / "registry.json"

    def _hear_incident(self, document: Mapping[str, object], came_s: float) -> None:
        self.arrivals.add(document, came_s)
        self.steps.hear_incident(document, came_s)
        _tell_incident(document, self.on_heard)

    def _hear_step(self, report: UpdateReport) -> None:
        self.steps.hear(report)
        _tell_step(report, self.on_heard)

    def _running(self) -> Running:
        return Running(
            pid=os.getpid(),
            device=self.device,
            tenant=TENANT,
            port=self.broker.port,
            ca=self.broker.authority.file,
            operator=self.broker.clients["operator"],
            registry=self._registry,
            config=self.folder / "data/etc-vedette/vedette.toml",
            bundle=self.folder / "data/vedette/rules.bundle",
            trust=self.desk.trust,
            root=Path(STAGE),
        )


def _tell_incident(document: Mapping[str, object], on_heard: Heard) -> None:
    info = document.get("finding_info")
    if isinstance(info, dict):
        on_heard(str(info.get("uid")), 0)


def _tell_step(report: UpdateReport, on_heard: Heard) -> None:
    is_commit = report.step is Step.COMMITTED and report.kind is ReleaseKind.FIRMWARE
    on_heard(report.step_id, report.counter if is_commit else 0)
