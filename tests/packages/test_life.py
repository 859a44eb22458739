"""A package's life on one device: installed, upgraded with its state kept, removed, purged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.packages._device import CONFIGURATION, SENTINEL, UPLINK, Device
from tests.packages._machine import Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

STATE = "/var/lib/vedette"
CRITICAL = ("journal", "Somebody else writes", "state folder")
"""Words of findings about a state that was lost or touched."""


def exists(machine: Machine, path: str) -> bool:
    return machine.run("test", "-e", path).returncode == 0


def test_a_device_keeps_what_it_knows_until_it_is_purged(
    bare: Machine, package: Path, newer: Path, tmp_path: Path
) -> None:
    """In one story, since each chapter begins with what the one before has left."""
    device = Device(bare, tmp_path)
    shutil.copy(newer, bare.packages)
    device.provision()
    device.start_broker()

    device.install(package)
    device.await_watching()
    assert "vedette-uplink" in bare.check("cat", "/etc/passwd")
    assert bare.check("systemctl", "is-enabled", SENTINEL).strip() == "enabled"
    assert int(bare.check("sh", "-c", "find /usr/lib/vedette -name '*.pyc' | wc -l")) > 500
    bare.check("sh", "-c", "mkdir -p /root/.ssh && echo ssh-rsa AA >>/root/.ssh/authorized_keys")
    bare.until(lambda: "SSH key added to an account" in device.incidents(), "an incident")

    key = bare.check("sha256sum", f"{STATE}/identity.key")
    before = device.journal()
    device.install(newer)
    device.await_watching()
    assert "9.9.9" in bare.check("dpkg-query", "-W", "vedette")
    assert bare.check("sha256sum", f"{STATE}/identity.key") == key
    after = device.journal()
    assert after["epoch"] == before["epoch"], "the journal was begun anew"
    assert after["entries"] > before["entries"]
    assert "SSH key added to an account" in device.incidents()
    told = [one for one in device.incidents() if any(word in one for word in CRITICAL)]
    assert not told, told

    bare.check("dpkg", "--remove", "vedette")
    bare.until(lambda: bare.show(UPLINK, "ActiveState") == "inactive", "the end of the uplink")
    assert bare.run("pgrep", "-f", "vedette.daemon").returncode == 1
    assert bare.check("nft", "list", "tables") == ""
    assert not exists(bare, "/usr/lib/vedette")
    assert not exists(bare, "/run/vedette")
    for kept in (f"{STATE}/identity.key", f"{STATE}/journal", "/etc/vedette/trust.json"):
        assert exists(bare, kept), kept

    device.install(package)
    device.await_watching()
    assert bare.check("sha256sum", f"{STATE}/identity.key") == key
    assert device.journal()["epoch"] == before["epoch"]

    bare.check("dpkg", "--purge", "vedette")
    for gone in ("/usr/lib/vedette", "/run/vedette", STATE, "/etc/vedette", "/usr/bin/vedette"):
        assert not exists(bare, gone), gone
    assert "vedette" not in bare.check("systemctl", "list-unit-files")


def test_an_upgrade_from_an_agent_of_old_formats_keeps_its_state(
    bare: Machine, old_source: Path, old_package: Path, package: Path, tmp_path: Path
) -> None:
    device = Device(bare, tmp_path)
    shutil.copy(old_package, bare.packages)
    device.provision(old_source, CONFIGURATION.replace('"ebpf", ', ""))  # it knew no eBPF
    device.start_broker()
    device.install(old_package)
    device.await_sentinel()  # nothing of that day fitted units to a configuration
    assert "0.0.1" in bare.check("dpkg-query", "-W", "vedette")
    bare.check("sh", "-c", "mkdir -p /root/.ssh && echo ssh-rsa AA >>/root/.ssh/authorized_keys")
    bare.until(lambda: "SSH key added to an account" in device.incidents(), "an incident")
    key, before = bare.check("sha256sum", f"{STATE}/identity.key"), device.journal()

    bare.write("/etc/vedette/vedette.toml", CONFIGURATION.encode())
    device.install(package)
    device.await_watching()
    assert bare.check("sha256sum", f"{STATE}/identity.key") == key
    after = device.journal()
    assert after["epoch"] == before["epoch"], "the journal was begun anew"
    assert after["entries"] > before["entries"]
    assert "SSH key added to an account" in device.incidents()
    said = bare.run("vedette", "status").stdout
    assert "of bundle workbench" in said, "the old bundle of rules does not load any more"
    told = [one for one in device.incidents() if any(word in one for word in CRITICAL)]
    assert not told, told
    bare.check("dpkg", "--purge", "vedette")
