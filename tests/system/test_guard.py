"""Somebody has a hand on a running agent: on its files, sockets, memory, journal, clock, parts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.mounts import mounted
from tests.system._live import QUIET, live
from tests.system._site import Running, Site

from vedette.codec import audit_control as control
from vedette.sensors._audit_link import AuditLink
from vedette.sensors._audit_rules import KEY

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

NO_SENSORS = QUIET.replace('"]', '", "inotify", "fanotify", "procnet", "procfs", "listeners"]')
"""What is tested stands on no sensor."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, sensors=NO_SENSORS)
    site.offer()
    yield site
    shutil.rmtree(site.run, ignore_errors=True)


def told(site: Site, condition: str) -> dict[str, Any]:
    """The newest report of a condition, after a look that began now."""
    site.ask("check")
    return site.until_incident(f"vedette:{condition}")


def reason_of(document: dict[str, Any]) -> str:
    fields: dict[str, str] = document["evidences"][0]["data"]
    return fields["Reason"]


def _replace_key(site: Site) -> None:
    key = site.folder / "device.key"
    other = site.folder / "other.key"
    other.write_bytes(key.read_bytes())
    other.rename(key)


TAMPERING: dict[str, tuple[Callable[[Site], object], str, str]] = {
    "the configuration is appended to": (
        lambda site: site.config.write_text(f"{site.config.read_text()}\n# quiet\n"),
        "own-configuration-changed", "its content was changed",
    ),
    "the trust document is made writable": (
        lambda site: (site.folder / "trust.json").chmod(0o666), "own-trust-changed",
        "its mode is 0666 now",
    ),
    "the signing key is replaced": (_replace_key, "own-key-changed", "another file lies in"),
    "the offered rules are removed": (
        lambda site: site.bundle.unlink(), "own-rules-changed", "it was removed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERING)
def test_a_file_of_ours_that_is_changed_is_a_finding(site: Site, way: str) -> None:
    tamper, condition, what = TAMPERING[way]
    with Running(site):
        site.ask("check")
        assert site.find(f"vedette:{condition}") is None
        tamper(site)
        assert what in reason_of(told(site, condition))


def test_a_control_socket_that_is_taken_away_is_made_anew(site: Site) -> None:
    control = site.run / "control.sock"
    with Running(site):
        # An open stream asks for a look although the name is gone.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(str(control))
            control.unlink()
            stream.sendall(b'{"do": "check"}\n')
            assert b'"ok"' in stream.makefile("rb").readline()
        document = site.until_incident("vedette:own-socket-changed")
        assert reason_of(document) == f"{control}: it was removed, and it was made anew"
        assert control.stat().st_mode & 0o777 == 0o600


def test_an_uplink_that_finds_no_socket_gets_one(site: Site) -> None:
    path = site.run / "uplink.sock"
    with Running(site):
        path.unlink()
        assert "made anew" in reason_of(told(site, "own-socket-changed"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as uplink:
            uplink.connect(str(path))
            assert uplink.recv(65536)


def test_who_opens_our_memory_is_named(as_root: None, site: Site) -> None:
    with Running(site) as running:
        memory = f"/proc/{running.process.pid}/mem"
        spy = f"import sys; open({memory!r}, 'rb'); print('open', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", spy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            document = site.until_incident("vedette:own-memory-opened")
            assert reason_of(document) == f"pid {process.pid} opened {memory}"
            assert document["severity"] == "Critical"
            process.communicate(b"")


def test_who_writes_into_our_journal_is_named(as_root: None, site: Site) -> None:
    with Running(site):
        journal = site.state / "journal" / "journal.db"
        with subprocess.Popen(
            ["dd", f"of={journal}", "bs=1", "seek=100000", "conv=notrunc", "status=none"],
            stdin=subprocess.PIPE,
        ) as process:
            process.communicate(b"x")
            document = site.until_incident("vedette:own-state-changed")
            assert reason_of(document) == f"pid {process.pid} changed {journal}"


def test_our_own_writing_is_no_news(as_root: None, site: Site) -> None:
    with Running(site):
        for _ in range(3):
            site.ask("check")  # leaves an entry each
        assert site.find("vedette:own-state-changed") is None
        assert site.find("vedette:own-memory-opened") is None


def test_a_stopped_uplink_is_told_and_goes_on(as_root: None, tmp_path: Path) -> None:
    with live(tmp_path / "device") as (device, broker):
        broker.start()
        device.site.offer()
        device.start()
        device.until(lambda: device.site.ask("status")["uplink"]["state"] == "up", "a session")
        uplink = device.pid("uplink")
        os.kill(uplink, signal.SIGSTOP)
        device.site.ask("check")
        document = device.site.until_incident("vedette:part-stopped")
        assert reason_of(document) == f"uplink (pid {uplink}) was stopped, and was told to go on"
        device.until(lambda: "T (stopped)" not in _state(uplink), "the uplink to go on")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text().split("State:")[1].split("\n")[0]


ONLY_KERNEL = """[sensors]
disable = ["{}", "proc_connector", "conntrack", "journald", "inotify", "fanotify", "procnet",
           "procfs", "listeners"]
"""


@pytest.mark.kernel
@pytest.mark.parametrize("tier", ["ebpf", "audit"])
def test_who_sends_us_a_signal_or_holds_us_by_a_debugger_is_named(
    as_root: None, kernel: None, site: Site, tier: str
) -> None:
    site.sensors = ONLY_KERNEL.format("audit" if tier == "ebpf" else "ebpf")
    site.write_config()
    with Running(site) as running:
        sentinel = running.process.pid
        for tamper, condition in (
            (f"os.kill({sentinel}, 18)", "own-process-signalled"),
            (f"ctypes.CDLL(None).ptrace(0x4206, {sentinel}, 0, 0)", "own-process-traced"),
        ):
            code = f"import ctypes, os, sys; {tamper}"
            subprocess.run([sys.executable, "-c", code, "intruder"], check=True)
            document = site.until_incident(f"vedette:{condition}")
            command = document["evidences"][0]["process"]["cmd_line"]
            assert command.endswith("intruder"), document
            assert document["unmapped"]["tier"] == tier


@pytest.mark.kernel
def test_audit_rules_that_are_deleted_are_put_back(as_root: None, kernel: None, site: Site) -> None:
    site.sensors = ONLY_KERNEL.format("ebpf")
    site.write_config()
    with Running(site):
        before = our_rules()
        assert before
        with AuditLink() as link:
            for rule in link.rules():
                if control.parse_rule(rule).key == KEY:
                    assert link.delete(rule)
        assert "of our audit rules were deleted" in reason_of(told(site, "watch-removed"))
        assert our_rules() == before


def our_rules() -> set[object]:
    with AuditLink() as link:
        rules = [control.parse_rule(rule) for rule in link.rules()]
    return {rule for rule in rules if rule.key == KEY}


def test_a_journal_that_is_removed_begins_a_new_epoch_at_once(as_root: None, site: Site) -> None:
    with Running(site):
        before = site.ask("status")["journal"]["epoch"]
        (site.state / "journal" / "journal.db").unlink()
        site.ask("reload")  # which is recorded
        document = site.until_incident("vedette:mended")
        assert "the file of the journal is gone" in reason_of(document)
        assert site.ask("status")["journal"]["epoch"] == before + 1
        assert (site.state / "journal" / "journal.db").exists()


def test_the_keepers_ear_is_given_back_to_it(as_root: None, tmp_path: Path) -> None:
    with live(tmp_path / "device") as (device, broker):
        broker.start()
        device.site.offer()
        device.start()
        ear = device.site.run / "notify.sock"
        ear.unlink()
        device.site.ask("check")
        document = device.site.until_incident("vedette:own-socket-changed")
        assert str(ear) in reason_of(document)
        device.until(ear.exists, "another ear")
        assert device.keeper is not None
        assert device.keeper.poll() is None


def test_a_filled_disk_is_told_and_a_journal_in_memory_too(as_root: None, tmp_path: Path) -> None:
    """On a file system of the test's own."""
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site", sensors=NO_SENSORS)
    with mounted(tmp_path / "disk", "size=24m,mode=700") as disk:
        site.state = disk / "state"
        site.write_config()
        site.offer()
        with Running(site):
            assert site.find("vedette:disk-full") is None
            with (disk / "ballast").open("wb") as ballast, suppress(OSError):
                while True:
                    ballast.write(bytes(1 << 16))
            assert "are free for" in reason_of(told(site, "disk-full"))
            document = site.until(lambda: _asked_again(site, "vedette:journal-in-memory"))
            assert document["severity"] == "Critical"
    shutil.rmtree(site.run, ignore_errors=True)


def _asked_again(site: Site, rule_id: str) -> dict[str, Any] | None:
    site.ask("check")
    return site.find(rule_id)


def test_rules_that_are_offered_in_the_state_folder_are_no_meddling(
    as_root: None, site: Site
) -> None:
    """As in the configuration that packages bring."""
    kept = site.bundle.read_bytes()
    offered = site.state / "rules.bundle"
    site.config.write_text(site.config.read_text().replace(str(site.bundle), str(offered)))
    site.state.mkdir(mode=0o700, exist_ok=True)
    offered.write_bytes(kept)
    with Running(site):
        beside = offered.with_name("rules.bundle.new")
        subprocess.run(["cp", str(offered), str(beside)], check=True)
        beside.rename(offered)
        assert "another file lies in its place" in reason_of(told(site, "own-rules-changed"))
        subprocess.run(["touch", str(site.state / "planted")], check=True)
        document = site.until_incident("vedette:own-state-changed")
        assert reason_of(document).endswith(f"changed {site.state}/planted")
        assert document["count"] == 1
