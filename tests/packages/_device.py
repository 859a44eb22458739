"""A device made of a machine: identity, trust, rules, broker, and the package under test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.packages._machine import DEADLINE_S, Machine

from vedette.daemon import config as configuration
from vedette.daemon import privileges
from vedette.daemon.config import Config
from vedette.daemon.privileges import Privileges
from vedette_dev import identity
from vedette_dev.cache import REPOSITORY
from vedette_dev.workbench import Workbench

SENTINEL, UPLINK = "vedette.service", "vedette-uplink.service"

CONFIGURATION = """\
[device]
id = "package-test"
[sensors]
disable = ["ebpf", "audit", "proc_connector"]
[uplink]
host = "127.0.0.1"
port = 1883
"""
"""Sources that a kernel gives only to its first pid namespace stay out."""

_SIGN = """
import sys
from pathlib import Path
from vedette_dev import identity, rules
from vedette_dev.workbench import Workbench
bench = Workbench(Path(sys.argv[1]), Path(sys.argv[1]))
identity.make_trust(bench)
rules.build_rules(bench, Path(sys.argv[2]), print)
identity.signer(bench.keys / identity.DEVICE)
"""
"""Runs with the code of any checkout."""

_BROKER = b"listener 1883 127.0.0.1\nallow_anonymous true\n"


class Device:
    """One device.

    Attributes:
        machine: where it runs.
        config: what it is configured as.
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.config: Config = configuration.parse(CONFIGURATION, "a test")
        self._folder = folder

    def provision(self, source: Path = REPOSITORY, configuration: str = CONFIGURATION) -> None:
        """Give it a key, a root of trust, rules and its configuration.

        Args:
            source: the checkout whose code signs rules and trust, in the formats of its time.
            configuration: that its agent understands.
        """
        self._folder.chmod(0o700)
        (self._folder / "keys").mkdir(exist_ok=True)
        made = subprocess.run(
            [sys.executable, "-c", _SIGN, self._folder, source / "rules/persistence"],
            env={**os.environ, "PYTHONPATH": str(source / "agent")},
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        bench = Workbench(self._folder, self._folder)
        key = (bench.keys / identity.DEVICE).read_bytes()
        self.machine.check("install", "-d", "-m", "700", "/var/lib/vedette")
        self.machine.write("/var/lib/vedette/identity.key", key, 0o600)
        self.machine.write("/var/lib/vedette/rules.bundle", bench.bundle.read_bytes())
        self.machine.write("/etc/vedette/trust.json", bench.trust.read_bytes())
        self.machine.write("/etc/vedette/vedette.toml", configuration.encode())

    def start_broker(self) -> None:
        """Listen for its uplink."""
        self.machine.write("/etc/test-broker.conf", _BROKER)
        self.machine.check("mosquitto", "-d", "-c", "/etc/test-broker.conf")

    def install(self, package: Path) -> str:
        """Install or upgrade by dpkg, keeping the configuration; what dpkg says."""
        return self.machine.check(
            "dpkg", "--force-confold", "--install", f"/packages/{package.name}"
        )

    def await_sentinel(self) -> None:
        """Until the sentinel said that it is ready."""
        machine = self.machine
        machine.until(lambda: machine.show(SENTINEL, "ActiveState") == "active", "a ready sentinel")

    def await_watching(self) -> None:
        """Until the sentinel is ready, and the uplink connected to the broker."""
        self.await_sentinel()
        self.machine.until(lambda: self._uplink().startswith("up"), "a connected uplink")

    def journal(self) -> dict[str, int]:
        """The epoch of the journal, and how many entries it has."""
        said = self.machine.run("vedette", "status").stdout
        found = re.search(r"journal\s+(\d+) entries in epoch (\d+)", said)
        assert found, said
        return {"entries": int(found[1]), "epoch": int(found[2])}

    def incidents(self) -> list[str]:
        """The titles of all incidents, newest first."""
        asked = self.machine.run("vedette", "incidents", "list", "--json")
        lines = [line for line in asked.stdout.splitlines() if line.startswith("{")]
        return [json.loads(line)["finding_info"]["title"] for line in lines]

    def pid(self, unit: str) -> int:
        """The main process of a unit, as this test's namespace numbers it."""
        inner = int(self.machine.show(unit, "MainPID"))
        assert inner, f"{unit} does not run:\n{self.machine.journal()}"
        found = self.machine.pid_here(inner)
        assert found, f"{unit}: its process {inner} is gone"
        return found

    def privileges(self, unit: str) -> Privileges:
        """What the main process of a unit may do."""
        return privileges.current(f"/proc/{self.pid(unit)}/status")

    def seccomp(self, unit: str) -> int:
        """The mode of seccomp(2) of the main process of a unit: 2 filters system calls."""
        text = Path(f"/proc/{self.pid(unit)}/status").read_text()
        found = re.search(r"^Seccomp:\s*(\d)", text, re.MULTILINE)
        assert found
        return int(found[1])

    def _uplink(self) -> str:
        said = self.machine.run("vedette", "status").stdout
        found = re.search(r"^\s+uplink\s+(\S+)", said, re.MULTILINE)
        return found[1] if found else ""
