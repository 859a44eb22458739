"""A device from nothing: the package's own configuration, an empty state, no broker, no owner.

First it watches and journals, then it is enrolled while it runs, finds, and defends; then it gets a
broker and tells. Everything is done by the commands that a person types.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from tests.simulators.station import UPLINK_UID
from tests.system._live import QUIET
from tests.system._site import Site, rule

from vedette.daemon import control_client
from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Step
from vedette.model.rule import Match
from vedette.trust.keyfile import load_signer, short_key_id
from vedette_dev.broker import OPERATOR, Broker, BrokerSettings
from vedette_dev.readiness import Readiness

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

PACKAGED = Path(__file__).parents[2] / "packaging" / "vedette.toml"
DROPPED = rule("dropped", "file_event", Match("TargetFilename", "endswith", ".dropped", False))
HIDE = Playbook(
    "hide", "hide", ("dropped",), (), Severity.LOW, (Step("quarantine", "file", 3600),), 100, 10, ""
)
DEADLINE_S = 60.0
T = TypeVar("T")


class Fresh:
    """A device on which the package was just installed, below a folder.

    Its configuration is the package's, with other places for what is in /etc, /var and /run, one
    watched tree, and without the sources of which a machine has only one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.etc, self.state = folder, folder / "etc", folder / "state"
        self.watched = folder / "watched"
        for made in (self.etc, self.watched):
            made.mkdir()
        self.config, self.log = self.etc / "vedette.toml", folder / "agent.log"
        places = {
            "/var/lib/vedette": self.state,
            "/etc/vedette": self.etc,
            "/run/vedette": folder / "run",
        }
        text = PACKAGED.read_text()
        for place, ours in places.items():
            text = text.replace(f'"{place}', f'"{ours}')
        text = re.sub(r"(?ms)^watch = \[.*?^\]", f'watch = ["{self.watched}"]', text)
        text = text.replace('"vedette-uplink"', f'"{UPLINK_UID}"')
        text = re.sub(r"(?m)^\[sensors\]\n#.*\ndisable = \[\]$", QUIET, text)
        self.config.write_text(text)
        self.keeper: subprocess.Popen[bytes] | None = None

    def vedette(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vedette.cli", *map(str, words), "--config", str(self.config)],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    def enroll(self, *words: str | Path) -> dict[str, Any]:
        done = self.vedette("enroll", *words, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        with Readiness(self.folder / "ready.sock") as readiness, self.log.open("ab") as log:
            self.keeper = subprocess.Popen(
                [sys.executable, "-m", "vedette.cli", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **readiness.environment},
            )  # fmt: skip
            readiness.wait(DEADLINE_S, self._ended, lambda _: None)

    def stop(self) -> None:
        keeper, self.keeper = self.keeper, None
        if keeper is not None and keeper.poll() is None:
            keeper.terminate()
            assert keeper.wait(DEADLINE_S) == 0, self.log.read_text()[-3000:]

    def reload(self) -> None:
        assert self.keeper is not None
        self.keeper.send_signal(signal.SIGHUP)

    def ask(self, do: str, **params: Any) -> dict[str, Any]:
        return dict(control_client.ask(self.folder / "run" / "control.sock", do, params))

    def incident(self, rule_id: str) -> dict[str, Any] | None:
        for found in self.ask("incidents.list", limit=1000)["incidents"]:
            if found["finding_info"]["analytic"]["uid"] == rule_id:
                return dict(found)
        return None

    def until(self, look: Callable[[], T | None], what: str) -> T:
        ends_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_s:
            try:
                found = look()
            except DeviceError:
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited for {what}; the log ends:\n{self.log.read_text()[-3000:]}")

    def _ended(self) -> str:
        if self.keeper is None or self.keeper.poll() is None:
            return ""
        return self.log.read_text("utf-8", "replace")[-3000:]


@pytest.fixture
def device() -> Iterator[Fresh]:
    # Not pytest's folder: the uplink's own user has to reach its certificate.
    folder = Path(tempfile.mkdtemp(prefix="vedette-fresh-"))
    folder.chmod(0o755)
    made = Fresh(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fleet(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True)
    return site


def test_a_device_that_nobody_enrolled_watches_and_says_what_it_lacks(device: Fresh) -> None:
    with device:
        status = device.vedette("status")
        assert "no root of trust yet; bring one with vedette enroll" in status.stdout
        assert "off: incidents stay on this device" in status.stdout
        doctor = json.loads(device.vedette("doctor", "--json").stdout)
        facts = {fact["name"]: fact for fact in doctor["facts"]}
        signer = load_signer(device.state / "identity.key")
        assert facts["identity"]["found"].endswith(short_key_id(signer.public_key))
        assert not facts["root of trust"]["good"]
        assert not facts["rules offered"]["good"]
        assert "--broker" in facts["broker"]["found"]
        told = device.until(lambda: device.incident("vedette:no-rules"), "the finding about rules")
        assert told["severity_id"] == 5
        key = (device.state / "identity.key").read_bytes()
    with device:
        assert (device.state / "identity.key").read_bytes() == key


def test_enrolled_while_it_runs_it_finds_and_defends_without_a_broker(
    device: Fresh, fleet: Site
) -> None:
    with device:
        device.enroll(
            "--trust", fleet.folder / "trust.json", "--rules", fleet.bundle,
            "--playbooks", fleet.playbooks,
        )  # fmt: skip
        device.reload()
        device.until(lambda: device.ask("status")["rules"]["rules"] or None, "rules")
        bad = device.watched / "a.dropped"
        bad.write_bytes(b"x" * 100)
        found = device.until(lambda: device.incident("dropped"), "the incident")
        assert found["count"] >= 1
        device.until(lambda: not bad.exists() or None, "the file to be taken away")
        assert device.ask("status")["journal"]["size"] > 0


def test_with_a_broker_it_tells_and_a_reader_believes_it(
    device: Fresh, fleet: Site, tmp_path: Path
) -> None:
    try:
        broker = Broker(BrokerSettings(tmp_path / "broker"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    told = device.enroll(
        "--trust", fleet.folder / "trust.json", "--rules", fleet.bundle, "--device", "cam-7",
        "--tenant", "acme", "--broker", "127.0.0.1", "--port", str(broker.port),
        "--ca", broker.authority.file, "--client-auth", "self-signed",
    )  # fmt: skip
    authorities = broker.authority.file
    authorities.write_bytes(
        authorities.read_bytes() + (device.etc / "tls" / "device.pem").read_bytes()
    )
    registry = tmp_path / "fleet.json"
    words = told["next"][0].removeprefix("operator: vedette ").replace("fleet.json", str(registry))
    subprocess.run([sys.executable, "-m", "vedette.cli", *words.split()], check=True)
    pair = broker.clients[OPERATOR]
    with broker, (tmp_path / "watch.out").open("wb") as out:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "vedette.cli", "fleet", "watch", "--json",
             "--registry", str(registry), "--host", "127.0.0.1", "--port", str(broker.port),
             "--ca", str(authorities), "--certificate", str(pair.certificate),
             "--key", str(pair.key)],
            stdout=out,
        )  # fmt: skip
        try:
            with device:
                device.until(lambda: device.ask("status")["uplink"]["state"] == "up", "the uplink")
                (device.watched / "b.dropped").write_bytes(b"x")
                found = device.until(lambda: _incident(tmp_path / "watch.out"), "the message")
            assert (found["tenant"], found["device"]) == ("acme", "cam-7")
        finally:
            watcher.send_signal(signal.SIGINT)
            watcher.wait(10)


def _incident(file: Path) -> dict[str, Any] | None:
    for line in file.read_text().splitlines():
        note: dict[str, Any] = json.loads(line)
        if note["kind"] == "incident" and "dropped" in line:
            return note
    return None
