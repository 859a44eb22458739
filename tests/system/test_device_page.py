"""What agent/docs/device.md (and the README, "On a device") tells people to type works, in order.

The device is a fresh one below a folder, so apt is left to tests/packages, scp is cp, and systemctl
starts the agent; every command of ours and openssl's run as they are written.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.simulators.shipped import shipped_bundle
from tests.system._fresh import Fresh, fresh
from tests.system._site import Site

from vedette.cli._signing import sealed
from vedette.codec import bundle as bundle_codec
from vedette_dev.broker import OPERATOR, Broker, BrokerSettings

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "agent/docs/device.md", REPOSITORY / "README.md"]
STEPS = re.compile(r"^```sh (device|operator)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HIDDEN = "/dev/shm/.hello"
CODES = {"doctor": {0, 1}, "status": {0, 1}}
"""A device that is not enrolled, or has few sources, is degraded, and says so by its exit code."""


class Step(NamedTuple):
    where: str
    line: str


def steps(page: Path) -> list[Step]:
    blocks = STEPS.findall(page.read_text())
    return [Step(where, line) for where, text in blocks for line in text.splitlines()]


class Reader:
    """Types what a page says, with the names of this machine."""

    def __init__(self, device: Fresh, broker: Broker, desk: Path) -> None:
        self._device, self._desk = device, desk
        self._names = {"mqtt.example.org": "127.0.0.1", "8883": str(broker.port)}
        self._watcher: subprocess.Popen[bytes] | None = None
        self._out = desk / "watch.out"

    def type(self, step: Step) -> None:
        line = step.line.replace("sudo ", "")
        for name, ours in self._names.items():
            line = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", ours, line)
        if line.startswith("apt-get install"):
            self._device.start()
        elif line.startswith("systemctl"):
            self._device.stop()
            self._device.start()
        elif line.startswith("scp "):
            self._copy(line)
        elif line.startswith("vedette fleet watch"):
            self._watch(line)
        elif line.startswith("vedette "):
            self._vedette(shlex.split(line)[1:], on_device=step.where == "device")
        else:
            subprocess.run(["bash", "-euc", line], cwd=self._desk, check=True, timeout=60)

    def told(self) -> list[dict[str, object]]:
        """What the operator's watch has printed."""
        text = self._out.read_text() if self._out.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    @property
    def is_watching(self) -> bool:
        """Whether an operator was told to watch."""
        return self._watcher is not None

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.send_signal(signal.SIGINT)
            self._watcher.wait(10)

    def _vedette(self, words: list[str], *, on_device: bool) -> None:
        argv = [sys.executable, "-m", "vedette.cli", *words]
        argv += ["--config", str(self._device.config)] if on_device else []
        is_enrolment = words[0] == "enroll"
        done = subprocess.run(
            [*argv, *(["--json"] if is_enrolment else [])], cwd=self._desk,
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode in CODES.get(words[0], {0}), done.stdout + done.stderr
        if is_enrolment:
            told = json.loads(done.stdout)
            self._names |= {"KEY": told["public_key"], "HEX": told["fingerprint"]}

    def _copy(self, line: str) -> None:
        _, source, target = shlex.split(line)
        source = source.replace("cam-7:/etc/vedette", str(self._device.etc))
        if ":" not in target:  # the device's files and the operator's lie on one desk
            subprocess.run(["cp", source, target], cwd=self._desk, check=True)

    def _watch(self, line: str) -> None:
        words = shlex.split(line)[1:]
        errors = self._desk / "watch.log"
        with self._out.open("wb") as out, errors.open("wb") as log:
            self._watcher = subprocess.Popen(
                [sys.executable, "-m", "vedette.cli", *words, "--json"],
                cwd=self._desk, stdout=out, stderr=log,
            )  # fmt: skip
        # A reader types the next line when it says so; what is told before is not heard.
        self._device.until(lambda: b"connected" in errors.read_bytes() or None, "the watch")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An owner's trust document and the rules of this repository, signed."""
    folder = tmp_path_factory.mktemp("desk")
    site = Site(folder)
    now_s = int(time.time())
    ours = replace(
        shipped_bundle(), name="ours", counter=1, issued_s=now_s, expires_s=now_s + 86_400
    )
    envelope = sealed(bundle_codec.PAYLOAD_TYPE, bundle_codec.encode(ours), site.rules_key)
    (folder / "rules.bundle").write_bytes(envelope)
    return folder


@pytest.fixture
def broker(desk: Path) -> Iterator[Broker]:
    try:
        made = Broker(BrokerSettings(desk / "broker"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    pair = made.clients[OPERATOR]
    (desk / "ca.pem").write_bytes(made.authority.file.read_bytes())
    key = made.authority._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (desk / "ca.key").write_bytes(key)
    (desk / "operator.pem").write_bytes(pair.certificate.read_bytes())
    (desk / "operator.key").write_bytes(pair.key.read_bytes())
    with made:
        yield made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_page_says_leads_to_a_first_alert(page: Path, desk: Path, broker: Broker) -> None:
    told = steps(page)
    if not told:
        pytest.skip(f"{page.name} has no commands for a device")
    (desk / "fleet.json").unlink(missing_ok=True)
    (desk / "device.pem").unlink(missing_ok=True)
    with fresh() as device:
        reader = Reader(device, broker, desk)
        try:
            for step in told:
                reader.type(step)
            device.until(lambda: _is_found(device) or None, "an incident on the device")
            if reader.is_watching:
                device.until(lambda: _alert(reader) or None, "an alert at the operator's")
        finally:
            reader.close()


def _is_found(device: Fresh) -> bool:
    return HIDDEN in str(device.ask("incidents.list", limit=1000)["incidents"])


def _alert(reader: Reader) -> bool:
    notes = [note for note in reader.told() if note["kind"] == "incident"]
    return any(
        (note["tenant"], note["device"]) == ("acme", "cam-7") and HIDDEN in str(note)
        for note in notes
    )


def test_the_pages_commands_are_there() -> None:
    lines = " ".join(step.line for step in steps(PAGES[0]))
    for word in ("apt-get install", "vedette enroll", "vedette fleet enroll", "fleet watch"):
        assert word in lines
