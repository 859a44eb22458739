"""The .deb on a device that nobody owns, then enrolled, then given away: under its real units.

The steps are one story on one machine: each begins where the one before it ended.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.packages._device import SENTINEL, UPLINK, Device
from tests.packages._machine import Machine

from vedette_dev import identity
from vedette_dev.cache import REPOSITORY
from vedette_dev.certificates import Authority
from vedette_dev.rules import build_rules
from vedette_dev.workbench import Workbench

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(300)]

BROKER = """\
listener 8883 127.0.0.1
cafile /etc/broker/ca.pem
certfile /etc/broker/server.pem
keyfile /etc/broker/server.key
require_certificate true
use_identity_as_username true
user root
"""
OTHERS = 'disable = ["ebpf", "audit", "proc_connector"]'
"""Sources that a kernel gives only to its first pid namespace stay out; else the package's own."""


@pytest.fixture(scope="module")
def fresh(bare: Machine, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """The package as it is installed, and nothing else."""
    made = Device(bare, tmp_path_factory.mktemp("unused"))
    packaged = (REPOSITORY / "packaging/vedette.toml").read_text()
    text = packaged.replace("disable = []", OTHERS, 1)  # the first one is that of [sensors]
    bare.write("/etc/vedette/vedette.toml", text.encode())
    made.install(package)
    bare.until(lambda: bare.show(SENTINEL, "ActiveState") == "active", "a ready sentinel")
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def enroll(machine: Machine, *words: str) -> dict[str, Any]:
    said = machine.check("vedette", "enroll", *words, "--json")
    found: dict[str, Any] = json.loads(said)
    return found


def test_a_device_that_nobody_owns_watches_with_a_key_of_its_own(fresh: Device) -> None:
    machine = fresh.machine
    assert machine.check("stat", "-c", "%a %U", "/var/lib/vedette/identity.key") == "600 root\n"
    assert machine.show(UPLINK, "ActiveState") == "inactive"
    said = machine.run("vedette", "status").stdout
    assert "no root of trust yet; bring one with vedette enroll" in said
    assert "fanotify" in said
    machine.until(
        lambda: "No rules can be used: nothing is detected" in fresh.incidents(), "the finding"
    )
    assert "none at /etc/vedette/trust.json" in machine.run("vedette", "doctor").stdout


def test_it_is_enrolled_and_tells_its_broker(
    fresh: Device, authority: Authority, tmp_path: Path
) -> None:
    machine = fresh.machine
    tmp_path.chmod(0o700)
    (tmp_path / "keys").mkdir()
    bench = Workbench(tmp_path, tmp_path)
    identity.make_trust(bench)
    build_rules(bench, REPOSITORY / "rules/persistence", lambda _: None)
    pair = authority.server("127.0.0.1")
    for name, data in (
        ("/etc/broker/ca.pem", authority.file.read_bytes()),
        ("/etc/broker/server.pem", pair.certificate.read_bytes()),
        ("/etc/broker/server.key", pair.key.read_bytes()),
        ("/etc/broker/mosquitto.conf", BROKER.encode()),
        ("/etc/vedette/enroll.d/trust.json", bench.trust.read_bytes()),
        ("/etc/vedette/enroll.d/rules.bundle", bench.bundle.read_bytes()),
    ):
        machine.write(name, data)
    machine.check("mosquitto", "-d", "-c", "/etc/broker/mosquitto.conf")
    words = ("--tenant", "acme", "--device", "cam-7", "--broker", "127.0.0.1")
    told = enroll(machine, *words, "--ca", "/etc/broker/ca.pem")
    assert not told["new_key"]
    assert told["certificate"] == "requested"
    assert machine.check("ls", "/etc/vedette/enroll.d") == ""
    machine.write("/root/device.pem", authority.sign_request(told["request"].encode()))
    assert enroll(machine, "--certificate", "/root/device.pem")["certificate"] == "installed"
    modes = machine.check(
        "stat", "-c", "%a %U:%G", "/etc/vedette/tls", "/etc/vedette/tls/device.key"
    )
    assert modes == "750 root:vedette-uplink\n640 root:vedette-uplink\n"
    machine.check("systemctl", "daemon-reload")
    machine.check("systemctl", "restart", SENTINEL)
    fresh.await_watching()
    machine.check("sh", "-c", "mkdir -p /root/.ssh && echo ssh-rsa AA >>/root/.ssh/authorized_keys")
    machine.until(lambda: "SSH key added to an account" in fresh.incidents(), "the incident")
    assert "acme/cam-7" in machine.run("vedette", "status").stdout


def test_purged_nothing_of_it_is_left(fresh: Device) -> None:
    machine = fresh.machine
    machine.check("dpkg", "--purge", "vedette")
    for place in ("/etc/vedette", "/var/lib/vedette", "/run/vedette", "/usr/lib/vedette"):
        assert machine.run("test", "-e", place).returncode == 1, place
