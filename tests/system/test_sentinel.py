"""The real sentinel on this machine: what it accepts, what survives, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.mounts import mounted
from tests.system._site import Running, Site, bodies, rule

from vedette.errors import RequestError
from vedette.model.rule import Match
from vedette.trust.ed25519 import Ed25519Signer

pytestmark = pytest.mark.system

MARKED = rule("marked", "file_event", Match("TargetFilename", "endswith", ".marked", False))
OTHER = rule("other", "file_event", Match("TargetFilename", "endswith", ".other", False))
QUIET = '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald"]'
"""Sources of which a machine has only one stay out of these tests."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=QUIET)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def touch(site: Site, name: str) -> None:
    (site.watched / name).write_text("x")


def test_a_change_becomes_an_incident_and_a_replay_gives_the_same_bytes(site: Site) -> None:
    site.offer(MARKED)
    recording = site.folder / "watch.vrec"
    with Running(site, "--record", str(recording)) as running:
        touch(site, "a.marked")
        document = site.until_incident("marked")
        assert document["device"]["uid"] == "site"
        reports: list[Any] = []
        for incident in site.incidents():
            found = site.ask("incidents.show", id=incident["finding_info"]["uid"])
            reports += found["reports"]
        assert running.stop() == 0
    replayed = subprocess.run(
        [sys.executable, "-m", "vedette.cli", "replay", str(recording), "--json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    again = bodies([json.loads(line) for line in replayed.splitlines()])
    assert set(bodies(reports)) <= set(again)
    assert again[-1] not in bodies(reports), "the closing report is written at the stop"


def test_a_bundle_that_may_not_be_used_changes_nothing_and_is_told(site: Site) -> None:
    good = site.offer(MARKED)
    with Running(site) as running:
        running.stop()
    stranger = Ed25519Signer(b"\x01" * 32)
    bad = {
        "altered": bytes([good[0], *good[1:-40], good[-40] ^ 1, *good[-39:]]),
        "truncated": good[: len(good) // 2],
        "unsigned": b"{}",
        "foreign": site.offer(OTHER, key=stranger),
        "older": site.offer(OTHER, counter=5),
        "expired": site.offer(OTHER, expires_in_s=-10),
    }
    for name, data in bad.items():
        site.bundle.write_bytes(data)
        with Running(site) as running:
            refused = site.until_incident("vedette:rules-refused")
            reason = refused["evidences"][0]["data"]["Reason"]
            assert len(reason) > 20, name
            touch(site, f"{name}.marked")
            site.until_incident("marked")
            assert site.ask("status")["rules"]["reason"] == reason
            assert running.stop() == 0


def test_a_date_never_leaves_the_device_without_rules(site: Site) -> None:
    site.offer(MARKED, expires_in_s=3)
    with Running(site):
        pass
    site.until(lambda: time.time() - site.bundle.stat().st_mtime > 4)
    with Running(site):
        touch(site, "late.marked")
        site.until_incident("marked")
        site.until_incident("vedette:stale-rules")


def test_a_reload_applies_wholly_or_not_at_all(site: Site) -> None:
    site.offer(MARKED)
    with Running(site) as running:
        site.write_config("[nonsense]\nx = 1\n")
        with pytest.raises(RequestError, match="nonsense"):
            site.ask("reload")
        site.write_config("[journal]\nmax_mb = 5\n")
        with pytest.raises(RequestError, match="restart"):
            site.ask("reload")
        site.until_incident("vedette:reload-refused")
        site.write_config()
        site.offer(OTHER)
        running.process.send_signal(signal.SIGHUP)
        site.until(lambda: site.ask("status")["rules"]["rules"] == 1 and _sees(site, "b.other"))
        touch(site, "c.marked")
        touch(site, "d.other")
        site.until_incident("other")
        assert site.find("marked") is None


def _sees(site: Site, name: str) -> bool:
    touch(site, name)
    return site.find("other") is not None


def test_a_killed_sentinel_leaves_its_entries_and_starts_again(site: Site) -> None:
    site.offer(MARKED)
    with Running(site) as running:
        touch(site, "a.marked")
        before = site.until_incident("marked")
        size = site.ask("status")["journal"]["size"]
        running.stop(signal.SIGKILL)
    with Running(site):
        assert site.find("marked") is not None
        found = site.ask("incidents.show", id=before["finding_info"]["uid"])["reports"]
        assert found[0]["finding_info"]["uid"] == before["finding_info"]["uid"]
        assert site.ask("status")["journal"]["size"] > size


def test_a_damaged_journal_is_set_aside_and_told(site: Site) -> None:
    site.offer(MARKED)
    with Running(site):
        touch(site, "a.marked")
        site.until_incident("marked")
    for path in (site.state / "journal").iterdir():
        if path.suffix in {".db", ".sqlite"} or path.name.startswith("journal"):
            data = bytearray(path.read_bytes())
            data[: len(data) // 2] = os.urandom(len(data) // 2)
            path.write_bytes(data)
    with Running(site):
        mended = site.until_incident("vedette:mended")
        assert mended["severity_id"] == 5
        assert site.ask("status")["journal"]["epoch"] >= 2
        touch(site, "b.marked")
        site.until_incident("marked")


def test_secrets_do_not_reach_the_journal(site: Site) -> None:
    site.offer(MARKED, redactions=[r"--password=(\S+)"])
    with Running(site):
        touch(site, "x--password=hunter2.marked")
        document = site.until_incident("marked")
        assert "hunter2" not in json.dumps(document)
    assert b"hunter2" not in b"".join(
        path.read_bytes() for path in (site.state / "journal").rglob("*") if path.is_file()
    )


def test_file_names_of_random_bytes_are_seen(site: Site) -> None:
    site.offer(MARKED)
    name = bytes(b for b in os.urandom(240) if b not in b"/\0")[:200] + b".marked"
    with Running(site):
        (Path(os.fsdecode(os.fsencode(site.watched) + b"/" + name))).write_bytes(b"x")
        document = site.until_incident("marked")
        assert document["evidences"][0]["file"]["path"].endswith(".marked")


def test_a_full_disk_is_told_and_the_watch_goes_on(as_root: None, tmp_path: Path) -> None:
    """The state lies on a tmpfs of 3 MB that is then filled up."""
    with mounted(tmp_path / "small", "size=3m") as folder:
        site = Site(folder, sensors=QUIET)
        site.offer(MARKED)
        with Running(site) as running:
            ballast = folder / "ballast"
            with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
                while stream.write(b"x" * 4096):
                    pass
            assert shutil.disk_usage(folder).free <= 4096  # its last page may be anybody's
            (site.watched / "a.marked").mkdir()
            site.until_incident("marked")
            journal = site.until(lambda: _degraded(site))
            assert "full" in journal["reason"] or "space" in journal["reason"]
            ballast.unlink()
            site.until(lambda: not site.ask("status")["journal"]["degraded"])
            assert running.stop() == 0
        with Running(site):
            assert site.find("marked") is not None
        shutil.rmtree(site.run, ignore_errors=True)


def _degraded(site: Site) -> dict[str, Any] | None:
    journal: dict[str, Any] = site.ask("status")["journal"]
    return journal if journal["degraded"] else None


def test_a_second_sentinel_on_the_same_state_is_refused(site: Site) -> None:
    site.offer(MARKED)
    with Running(site):
        second = subprocess.run(
            [sys.executable, "-m", "vedette.cli", "sentinel", "--config", str(site.config)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert second.returncode == 2
        assert "another sentinel" in second.stderr
        touch(site, "a.marked")
        site.until_incident("marked")
    with Running(site):
        assert site.ask("status")["journal"]["epoch"] == 1


def test_a_source_that_was_off_at_the_start_needs_a_restart(site: Site) -> None:
    site.offer(MARKED)
    with Running(site):
        site.sensors = '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "journald"]'
        site.write_config()
        with pytest.raises(RequestError, match="restart"):
            site.ask("reload")
        touch(site, "a.marked")
        site.until_incident("marked")
