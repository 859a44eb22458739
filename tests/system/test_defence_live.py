"""The real sentinel contains what it finds, says so, and undoes it exactly: also after kill -9.

Every target is a process or a file that the test made itself.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import locked_kernel
from tests.system._site import Running, Site, bodies, rule

from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Step
from vedette.model.rule import Match
from vedette.trust.ed25519 import SEED_BYTES, Ed25519Signer

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

DROPPED = rule("dropped", "file_event", Match("TargetFilename", "endswith", ".dropped", False))
QUIET = (
    '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald"]\n'
    "[sensors.procfs]\nperiod_s = 1\n"
)
EBPF = '[sensors]\ndisable = ["audit", "proc_connector", "conntrack", "journald"]\n'


def playbook(name: str, rule_id: str, *steps: Step) -> Playbook:
    return Playbook(name, name, (rule_id,), (), Severity.LOW, steps, 100, 10, "")


HIDE = playbook("hide", "dropped", Step("quarantine", "file", 3600))


@contextmanager
def site_in(folder: Path, sensors: str) -> Iterator[Site]:
    made = Site(folder, sensors=sensors)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path, QUIET) as made:
        yield made


def drop(site: Site) -> Path:
    file = site.watched / f"{secrets.token_hex(4)}.dropped"
    file.write_bytes(os.urandom(5000))
    file.chmod(0o751)
    os.utime(file, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_002))
    os.setxattr(file, "user.note", b"kept")
    return file


def state(file: Path) -> tuple[object, ...]:
    status = file.stat()
    return (
        file.read_bytes(), stat.filemode(status.st_mode), status.st_uid, status.st_mtime_ns,
        os.getxattr(file, "user.note"),
    )  # fmt: skip


def entries(site: Site, **wanted: str) -> list[dict[str, Any]]:
    """The journal's entries about responses with these fields, oldest first."""
    found = site.ask("responses.list", limit=1000)["entries"]
    return [e for e in reversed(found) if all(e.get(k) == v for k, v in wanted.items())]


def test_a_file_is_taken_away_and_brought_back_bit_for_bit(site: Site) -> None:
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True)
    with Running(site):
        file = drop(site)
        before = state(file)
        (outcome,) = site.until(lambda: entries(site, phase="outcome"))
        assert outcome["status"] == "done", outcome
        assert not file.exists()
        actions = site.until(lambda: site.until_incident("dropped")["unmapped"]["actions"])
        assert actions[0].startswith(f"quarantine {file}: done, ")
        (active,) = site.ask("responses.list")["active"]
        assert 3500 < active["left_s"] <= 3600
        answer = site.ask("responses.undo", id=outcome["id"][:6])
        assert answer["status"] == "undone", answer
        assert state(file) == before
        phases = [entry["phase"] for entry in entries(site, id=outcome["id"])]
        assert phases == ["plan", "outcome", "undo", "undone"]
        assert site.ask("responses.list")["active"] == []


def test_new_playbooks_only_say_what_they_would_do(site: Site) -> None:
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=False)
    with Running(site):
        file = drop(site)
        (outcome,) = site.until(lambda: entries(site, phase="outcome"))
        assert (outcome["status"], outcome["mode"]) == ("observed", "observe")
        assert file.exists()


def test_what_holds_survives_kill_9_and_is_undone_exactly_afterwards(site: Site) -> None:
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True)
    with Running(site) as first:
        file = drop(site)
        before = state(file)
        site.until(lambda: entries(site, phase="outcome", status="done"))
        first.stop(signal.SIGKILL)
    assert not file.exists()
    with Running(site):
        (active,) = site.until(lambda: site.ask("responses.list")["active"])
        assert active["state"] == "held"
        assert site.ask("responses.undo", id=active["id"])["status"] == "undone"
        assert state(file) == before


def test_a_response_whose_time_passes_while_nobody_watches_is_undone_at_the_start(
    site: Site,
) -> None:
    site.offer(DROPPED)
    brief = HIDE._replace(steps=(Step("quarantine", "file", 2),))
    site.offer_playbooks(brief, promoted=True)
    with Running(site) as first:
        file = drop(site)
        before = state(file)
        (done,) = site.until(lambda: entries(site, phase="outcome", status="done"))
        first.stop(signal.SIGKILL)
    with Running(site):
        site.until(lambda: entries(site, id=done["id"], phase="undone"))
        assert state(file) == before


def test_playbooks_that_somebody_else_signed_change_nothing(site: Site) -> None:
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True, key=Ed25519Signer(os.urandom(SEED_BYTES)))
    with Running(site):
        file = drop(site)
        site.until_incident("dropped")
        refused = site.until_incident("vedette:playbooks-refused")
        assert "signature" in str(refused).lower()
        assert file.exists()
        assert entries(site) == []


@contextmanager
def tree(program: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program with a child, both of the test's own."""
    shutil.copy("/bin/sh", program)
    process = subprocess.Popen(
        [program, "-c", "sleep 600 & wait"], start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_tree_is_ended_within_milliseconds_of_its_start(tmp_path: Path) -> None:
    name = f"evil-{secrets.token_hex(4)}"
    evil = rule("evil", "process_creation", Match("Image", "endswith", f"/{name}", False))
    kill = playbook("end", "evil", Step("kill", "process", 0))
    with locked_kernel(), site_in(tmp_path, EBPF) as site:
        site.offer(evil)
        site.offer_playbooks(kill, promoted=True)
        with Running(site):
            tiers = {row["class"]: row["tier"] for row in site.ask("status")["tiers"]}
            if tiers["process"] != "ebpf":
                pytest.skip("the process source is not eBPF here")
            began = time.monotonic()
            with tree(tmp_path / name) as process:
                assert process.wait(10.0) == -signal.SIGKILL
                took_s = time.monotonic() - began
            assert took_s < 1.0  # figures are tests/bench/containment.py's
            site.until(lambda: entries(site, phase="outcome", status="done"))
            plan, outcome = entries(site, responder="kill")
            assert (plan["phase"], outcome["phase"]) == ("plan", "outcome")
            assert outcome["target"]["pid"] == process.pid
            assert site.ask("responses.list")["active"] == []


def test_a_replay_tells_the_same_incidents_with_the_same_actions(site: Site) -> None:
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True)
    recording = site.folder / "defence.vrec"
    with Running(site, "--record", str(recording)) as running:
        drop(site)
        site.until(lambda: entries(site, phase="outcome", status="done"))
        site.until(lambda: site.until_incident("dropped")["unmapped"]["actions"])
        reports: list[Any] = []
        for incident in site.incidents():
            found = site.ask("incidents.show", id=incident["finding_info"]["uid"])
            reports += found["reports"]
        assert running.stop() == 0
    command = [sys.executable, "-m", "vedette.cli", "replay", str(recording), "--json"]
    replayed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    again = bodies([json.loads(line) for line in replayed.splitlines()])
    assert set(bodies(reports)) <= set(again)
    assert any(report["unmapped"]["actions"] for report in reports)
