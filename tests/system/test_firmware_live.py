"""A firmware's whole way in real processes on the directory back-end, with starts played."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.simulators.images import changed, firmware, image, sha256
from tests.simulators.sentinel_stand_in import SentinelStandIn

from vedette.codec import release as release_codec
from vedette.codec.block_index import block_digests
from vedette.model.firmware import BootPlan
from vedette.model.release import PartKind, Release
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import DirectoryBackend
from vedette.store import durable

SIZE = 24 << 20
TIMEOUT_S = 60
CONFIG = """
[device]
id = "cam-1"
[paths]
state = "{folder}/state"
run = "{folder}/run"
[updates]
hardware = ["cam-2"]
[firmware]
backend = "directory"
settle_s = 1
trial_s = 10
look_s = 1
restart = ["/bin/sh", "-c", "echo restart >> {folder}/restarts"]
[firmware.slots]
folder = "{folder}/slots"
[firmware.health.page]
port = 80
"""


class Device:
    """A device in a folder; each call of `update` is a process of its own."""

    def __init__(self, folder: Path, sentinel: SentinelStandIn) -> None:
        self.folder, self.sentinel = folder, sentinel
        self.config = folder / "vedette.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        for name in ("state", "slots"):
            durable.make_folder(folder / name)
        self.boot_loader = DirectoryBackend(SlotContext(folder / "slots", durable.write))
        self.targets = folder / "targets"

    def publish(self, content: bytes, counter: int, *, late_rollback_s: int = 0) -> list[str]:
        """Put a release where a directory source finds it; returns the words that apply it."""
        release = firmware(content, counter, late_rollback_s=late_rollback_s)
        index = block_digests(content)
        for part, data in ((release.target, content), (release.parts[PartKind.BLOCK_INDEX], index)):
            folder, _, name = part.path.rpartition("/")
            (self.targets / folder).mkdir(parents=True, exist_ok=True)
            (self.targets / folder / f"{part.sha256}.{name}").write_bytes(data)
        described = self.folder / f"release-{counter}.json"
        described.write_text(json.dumps(self._plain(release)))
        return ["apply", str(described), str(self.targets)]

    def _plain(self, release: Release) -> list[object]:
        return [*release.target, release_codec.encode(replace(release))]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.system._firmware_process", str(self.config), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip

    def update(self, *words: str) -> list[str]:
        """Run a process to its end; returns what it printed."""
        with self.start(*(words or ("recover",))) as process:
            said, problems = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, problems
        return said.split()

    def command(self, *words: str) -> str:
        """Run `vedette update WORDS`; returns what it said."""
        argv = [sys.executable, "-m", "vedette.cli", "update", *words, "--config"]
        ran = subprocess.run(
            [*argv, str(self.config)], capture_output=True, text=True, check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def restart(self) -> str:
        return self.boot_loader.boot()

    def slot(self, name: str) -> bytes:
        return (self.folder / "slots" / f"slot-{name}.img").read_bytes()

    @property
    def restarts(self) -> int:
        path = self.folder / "restarts"
        return path.read_text().count("restart") if path.exists() else 0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with SentinelStandIn(tmp_path / "run" / "control.sock") as sentinel:
        yield Device(tmp_path, sentinel)


@pytest.mark.system
def test_a_good_firmware_is_installed_tried_and_committed(device: Device) -> None:
    content = image(1, SIZE)
    assert device.update(*device.publish(content, 2)) == ["UNDER_WAY", "0"]
    assert device.slot("b") == content
    assert device.restarts == 1
    assert device.sentinel.told[0]["facts"]["written_bytes"] == str(SIZE)
    assert device.restart() == "b"
    assert device.update() == ["2"]  # the floor: nobody may go back, since it has no window
    assert device.sentinel.steps() == ["written", "trial", "committed"]
    assert device.boot_loader.plan() == BootPlan("b")
    assert device.restart() == "b"
    assert device.update() == ["2"]
    assert device.sentinel.steps() == ["written", "trial", "committed"]


@pytest.mark.system
def test_one_that_a_probe_finds_unwell_is_rolled_back(device: Device) -> None:
    device.update(*device.publish(image(1, SIZE), 2))
    device.restart()
    device.sentinel.probes = [{"name": "page", "up": False, "detail": "port 80 refused"}]
    assert device.update() == ["0"]
    assert device.sentinel.steps() == ["written", "trial", "rolled-back"]
    last = device.sentinel.told[-1]
    assert last["cause"] == "health"
    assert "page: port 80 refused" in last["reason"]
    assert device.restarts == 2
    assert device.restart() == "a"
    words = device.publish(image(1, SIZE), 2)
    assert device.update(*words) == ["REFUSED", "0"]


@pytest.mark.system
def test_one_under_attack_is_rolled_back_at_once(device: Device) -> None:
    device.update(*device.publish(image(1, SIZE), 2))
    device.restart()
    device.sentinel.critical = 1
    device.update()
    assert device.sentinel.asked.count("update.health") == 1
    assert device.sentinel.steps()[-1] == "rolled-back"


@pytest.mark.system
def test_one_that_panics_falls_back_and_that_is_told(device: Device) -> None:
    device.update(*device.publish(image(1, SIZE), 2))
    for _ in range(3):
        assert device.restart() == "b"
    assert device.restart() == "a"
    assert device.update() == ["0"]
    assert device.sentinel.steps() == ["written", "rolled-back"]
    assert device.sentinel.told[-1]["cause"] == "timeout"
    assert device.restarts == 1


@pytest.mark.system
def test_a_killed_install_goes_on_and_writes_the_rest_alone(device: Device) -> None:
    content = image(1, SIZE)
    words = device.publish(content, 2)
    with device.start(*words, str(SIZE // 2)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.kill()
    assert device.sentinel.steps() == []
    assert device.boot_loader.plan() == BootPlan("a")
    device.update(*words)
    facts = device.sentinel.told[0]["facts"]
    written = int(facts["written_bytes"])
    assert facts["fetched_bytes"] == facts["written_bytes"]
    assert SIZE // 2 <= written <= SIZE // 2 + (8 << 20)  # at most the pieces that were in memory
    assert device.slot("b") == content


@pytest.mark.system
def test_a_similar_firmware_costs_what_differs_and_the_old_one_returns_by_command(
    device: Device,
) -> None:
    first = image(1, SIZE)
    device.update(*device.publish(first, 2))
    device.restart()
    device.update()
    second = changed(first, *range(0, SIZE // 4096, 100))
    device.update(*device.publish(second, 3, late_rollback_s=3600))
    facts = device.sentinel.told[-1]["facts"]
    differing = -(-(SIZE // 4096) // 100) * 4096
    assert facts["fetched_bytes"] == str(differing)
    assert facts["copied_bytes"] == str(SIZE - differing)
    assert device.restart() == "a"
    device.update()
    assert device.sentinel.steps()[-1] == "committed"
    assert "firmware  committed: firmware cam 3.0" in device.command("status")
    device.command("rollback", "firmware")
    assert device.sentinel.steps()[-1] == "rolled-back"
    assert device.sentinel.told[-1]["cause"] == "operator"
    assert device.restart() == "b"
    assert sha256(device.slot("b")) == sha256(first)
