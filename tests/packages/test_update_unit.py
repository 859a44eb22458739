"""A release reaches an installed device by its units: asked for, fetched, verified, applied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.packages._device import CONFIGURATION, SENTINEL, Device
from tests.packages._machine import Machine

from vedette_dev.cache import REPOSITORY
from vedette_dev.release_desk import Desk

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SERVED = "/packages/served"
UPDATES = f"""
[updates]
source = "{SERVED}"
root = "/etc/vedette/root.json"
every_m = 0
"""


def test_rules_are_released_to_a_device_that_runs_by_its_units(
    bare: Machine, package: Path, tmp_path: Path
) -> None:
    desk = Desk(tmp_path / "desk", bare.packages / "served", lambda _: None)
    desk.make_keys()
    desk.make_repository()
    rules = tmp_path / "rules"
    shutil.copytree(REPOSITORY / "rules/persistence", rules)
    desk.release_rules(desk.build_rules(rules, 2))

    keys = tmp_path / "keys"
    keys.mkdir()
    device = Device(bare, keys)
    device.provision()
    bare.check("rm", "/var/lib/vedette/rules.bundle")
    bare.write("/etc/vedette/trust.json", desk.trust.read_bytes())
    bare.write("/etc/vedette/root.json", desk.root.read_bytes())
    bare.write("/etc/vedette/vedette.toml", (CONFIGURATION + UPDATES).encode())
    device.start_broker()
    device.install(package)
    device.await_watching()

    # As the sentinel does at its times: the path unit hears of the request, the service does it.
    bare.write("/run/vedette/update.request", b"schedule\n", 0o600)
    bare.until(lambda: "counter 2" in bare.run("vedette", "status").stdout, "the released rules")
    bare.until(lambda: bare.show("vedette-update.service", "ActiveState") == "inactive", "its end")
    assert bare.show("vedette-update.service", "Result") == "success", bare.journal()
    assert bare.run("test", "-e", "/run/vedette/update.request").returncode == 1
    said = bare.check("vedette", "update", "history")
    assert "rules" in said, said
    bare.check("systemctl", "stop", SENTINEL)
    assert bare.show("vedette-update.path", "ActiveState") == "inactive"
