"""Drills of the real sentinel: what is seen, what is blind, and what it costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.simulators import intruder
from tests.system._site import Running, Site

from vedette.cli._rule_folder import collect
from vedette.codec.audit_control import NETLINK_AUDIT
from vedette.daemon import control_client
from vedette.model.rule import Rule

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]

ONLY_AUDIT = (
    '[sensors]\ndisable = ["ebpf", "conntrack", "fanotify", "inotify", "journald", "listeners", '
    '"log_file", "proc_connector", "procfs", "procnet", "scan"]\n'
)
DRILL_S = 120.0
MAX_CPU_S = 3.6
"""0.1 % of an hour."""


def drill_rules() -> tuple[Rule, ...]:
    return tuple(
        part for one in collect([Path(__file__).parents[2] / "rules" / "drill"]).compiled
        for part in one.rules
    )  # fmt: skip


def drilled(site: Site) -> dict[str, dict[str, Any]]:
    """Have one played; its steps by name."""
    answer = control_client.ask(site.run / "control.sock", "drill.run", timeout_s=DRILL_S)
    steps = answer["steps"]
    assert isinstance(steps, list)
    return {str(row["step"]): dict(row) for row in steps if isinstance(row, dict)}


def about_drills(site: Site) -> list[str]:
    found = [one["finding_info"]["title"] for one in site.incidents()]
    return [title for title in found if "drill" in title.lower()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.watched.chmod(0o1777)
    made.offer(*drill_rules())
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def cpu_s(pid: int) -> float:
    """Of a process and the children it has buried (proc(5) fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_every_class_is_seen_at_little_cost_and_nothing_is_an_incident(site: Site) -> None:
    with Running(site) as running:
        first = drilled(site)
        before_s = cpu_s(running.process.pid)
        second = drilled(site)
        spent_s = cpu_s(running.process.pid) - before_s
        watched = {one["class"] for one in site.ask("doctor")["tiers"] if one["tier"]}
        for steps in (first, second):
            assert steps["process_creation"]["state"] == "seen", steps
            assert steps["file_event"]["state"] == "seen", steps
            assert steps["network_connection"]["state"] == "seen", steps
            if "kernel" in watched:
                assert steps["correlation"]["state"] in {"seen", "optional"}
                assert steps["kernel_activity"]["state"] == "seen", steps
            seen = [row for row in steps.values() if row["state"] == "seen"]
            assert all(row["rule"] for row in seen)
        assert about_drills(site) == []
        assert spent_s < MAX_CPU_S
        drills = site.ask("drill.show")["drills"]
        assert len(drills) == 2
        assert not any(one["missed"] or one["unmatched"] for one in drills)
        assert {one["responder"] for one in drills[0]["responses"]} >= {"kill", "freeze"}
        assert list(site.watched.iterdir()) == []


def test_a_blinded_source_is_found_by_the_next_drill(tmp_path: Path) -> None:
    site = Site(tmp_path, sensors=ONLY_AUDIT)
    site.offer(*drill_rules())
    try:
        with Running(site) as running:
            assert drilled(site)["process_creation"]["state"] == "seen"
            # Its descriptors stay open and without an error: it only hears nothing any more.
            with intruder.netlink_sockets(running.process.pid, NETLINK_AUDIT) as sockets:
                intruder.silence(sockets)
            blind = drilled(site)
            assert blind["process_creation"]["state"] == "missed"
            assert blind["kernel_activity"]["state"] == "missed"
            found = site.until_incident("vedette:drill-missed")
            assert "audit did not tell of it" in str(found)
            site.until_incident("vedette:tier-changed")
            assert drilled(site)["process_creation"]["state"] == "seen"
    finally:
        shutil.rmtree(site.run, ignore_errors=True)
