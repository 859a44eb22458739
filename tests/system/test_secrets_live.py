"""A password in a command line and in a URL: nowhere in what the agent keeps, sends or prints.

With the rules as they are shipped: their redactions travel in the signed bundle.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.simulators.station import Operator, operator
from tests.system._live import Live, live
from tests.system._proc import children

from vedette.cli._rule_folder import collect, seal
from vedette.model.finding import Severity
from vedette_dev.broker import find_mosquitto

pytestmark = pytest.mark.system

RULES = Path(__file__).parents[2] / "rules"
DAY_S = 86400
ANY_PROGRAM = """
title: Every program
id: 0e4b6f1e-9d3c-4a55-8f0e-3b1f6a0d7c11
author: A test
level: high
logsource: {category: process_creation, product: linux}
detection:
  selection: {CommandLine|contains: 'planted-'}
  condition: selection
"""
PROCESS_SOURCE = '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald"]'


def offer_shipped_rules(device: Live, more: Path) -> int:
    """Sign the shipped rules and one more, as `vedette rules build` does; returns redactions."""
    collected = collect([RULES, more])
    assert not collected.problems
    now_s = int(time.time())
    site = device.site
    site.bundle.write_bytes(
        seal(
            collected, site.rules_key, name="shipped", counter=now_s, issued_s=now_s,
            expires_s=now_s + DAY_S,
        )
    )  # fmt: skip
    return len(collected.redactions)


def traces(secret: bytes, *folders: Path) -> list[str]:
    """Files below folders that hold the secret in any of the forms in which it could be kept."""
    forms = (secret, secret.hex().encode(), secret.decode().encode("utf-16-le"))
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


def families(pid: int) -> dict[int, str]:
    """A process and its descendants, with their command lines."""
    found = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")}
    for child in children(pid):
        found |= families(child)
    return found


def told(listener: Operator) -> list[str]:
    return [found.body.decode("utf-8") for found in listener.findings()]


def test_a_planted_password_is_nowhere_in_what_the_agent_keeps_sends_or_prints(
    tmp_path: Path,
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "any.yml").write_text(ANY_PROGRAM)
    password, credential = (secrets.token_hex(9) for _ in range(2))
    mark = f"planted-{secrets.token_hex(4)}"
    try:
        find_mosquitto()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with live(tmp_path / "device", sensors=PROCESS_SOURCE) as (device, broker):
        assert offer_shipped_rules(device, more) > 10
        with broker, operator(broker) as listener:
            device.start()
            argv = [
                "-c", "import sys; sys.stdin.read()", mark, f"--password={password}",
                "--db-password", password, f"https://admin:{credential}@cam.example/feed",
                "-H", f"Authorization: Bearer {credential}",
            ]  # fmt: skip
            with subprocess.Popen([sys.executable, *argv], stdin=subprocess.PIPE) as planted:
                device.until(lambda: any(mark in body for body in told(listener)), "the incident")
                lines = device.site.ask("incidents.list", limit=100)
                shown = subprocess.run(
                    [sys.executable, "-m", "vedette.cli", "incidents", "list", "--json",
                     "--config", str(device.site.config)],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                planted.communicate()
            assert device.keeper is not None
            running = families(device.keeper.pid)
            assert device.stop() == 0
            whole = "\n".join(
                [*told(listener), *(str(found.received) for found in listener.got),
                 json.dumps(lines), shown, *running.values(),
                 device.log.read_text("utf-8", "replace")]
            )  # fmt: skip
        assert mark in whole
        assert "[redacted]" in whole
        for secret in (password, credential):
            assert secret not in whole
            assert traces(secret.encode(), device.site.folder, device.site.run) == []
        severities = {json.loads(body)["severity_id"] for body in told(listener)}
        assert Severity.HIGH in severities
