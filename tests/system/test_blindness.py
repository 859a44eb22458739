"""A source that stops seeing is a finding and is replaced; a stopped sentinel slows nobody.

Every way of blinding here leaves the sensor's descriptors open and without an error.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_sensor_contract import kernel_state
from tests.simulators import intruder
from tests.system._proc import children
from tests.system._site import DEADLINE_S, Running, Site, rule

from vedette.codec import audit_control as control
from vedette.kernel.netlink_talk import NETLINK_NETFILTER
from vedette.model.rule import Match
from vedette.sensors._audit_link import AuditLink

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]

ALL = (
    "audit", "conntrack", "ebpf", "fanotify", "inotify", "journald", "listeners", "log_file",
    "proc_connector", "procfs", "procnet", "scan",
)  # fmt: skip
STARTED = rule(
    "started", "process_creation", Match("CommandLine", "startswith", "true seen-me", False)
)
CHANGED = rule("changed", "file_event", Match("TargetFilename", "endswith", ".seen", False))


@contextmanager
def site_with(folder: Path, *sensors: str) -> Iterator[Site]:
    """A device with these sensors alone; fails if the kernel is not left as it was found."""
    off = [name for name in ALL if name not in sensors]
    before = kernel_state()
    site = Site(
        folder, sensors=f"[sensors]\ndisable = {json.dumps(off)}\n[incidents]\nquiet_s = 10\n"
    )
    site.offer(STARTED, CHANGED)
    try:
        yield site
    finally:
        _restore(site)
        shutil.rmtree(site.run, ignore_errors=True)
    assert kernel_state() == before


def _restore(site: Site) -> str:
    return subprocess.run(
        [sys.executable, "-m", "vedette.cli", "restore", "--config", str(site.config)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def tiers(answer: dict[str, Any]) -> dict[str, str]:
    return {one["class"]: one["tier"] for one in answer["tiers"]}


def changes(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["class"], one["previous"], one["tier"]) for one in answer["changed"]]


def told(site: Site, event_class: str) -> dict[str, Any]:
    """Wait for the newest report that a class's source was replaced."""

    def look() -> dict[str, Any] | None:
        incident = site.find("vedette:tier-changed")
        if incident is None:
            return None
        reports = site.ask("incidents.show", id=incident["finding_info"]["uid"])["reports"]
        about = [one for one in reports if one["evidences"][0]["data"]["Class"] == event_class]
        return about[-1] if about else None

    return site.until(look)


@contextmanager
def slot_taken_from(pid: int) -> Iterator[int]:
    """Another audit daemon in the place of ours."""
    argv = [sys.executable, "-m", "tests.simulators.intruder", str(pid)]
    path = os.pathsep.join(["agent", ".", os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as thief:  # fmt: skip
        assert thief.stdin is not None
        assert thief.stdout is not None
        try:
            assert thief.stdout.readline() == "taken\n"
            yield thief.pid
        finally:
            thief.stdin.close()
            thief.wait(DEADLINE_S)
    with AuditLink() as link:
        if link.status().pid == thief.pid:  # the kernel finds it gone only when it is asked
            link.set(control.change(control.STATUS_PID, pid=0))


def started_after(site: Site, word: str) -> dict[str, Any] | None:
    """Execute once more, and look whether one of the executions was found."""
    execute(word)
    return site.find("started")


def execute(word: str) -> None:
    subprocess.run(["true", "seen-me", word], executable="/bin/true", check=True)


def test_who_takes_the_audit_slot_is_named_and_the_next_tier_takes_over(tmp_path: Path) -> None:
    with site_with(tmp_path, "audit", "proc_connector") as site, Running(site) as running:
        assert tiers(site.ask("doctor"))["process"] == "audit"
        with slot_taken_from(running.process.pid) as thief:
            answer = site.ask("check")
            assert changes(answer) == [
                ("process", "audit", "proc_connector"), ("kernel", "audit", ""),
            ]  # fmt: skip
            finding = told(site, "process")
            assert finding["unmapped"]["finding_severity_id"] == 4
            assert f"owned by pid {thief} (python" in finding["evidences"][0]["data"]["Reason"]
            assert told(site, "kernel")["severity_id"] == 5
            with AuditLink() as link:
                assert link.status().pid == thief, "it is theirs now, and stays so"
                assert link.rules() == []
            # Best effort: the connector reads the arguments of about half of such short lives.
            site.until(lambda: started_after(site, "below"))
        answer = site.ask("check")
        assert changes(answer) == [
            ("process", "proc_connector", "audit"), ("kernel", "", "audit"),
        ]  # fmt: skip
        assert all(one["reason"] == "it works again" for one in answer["changed"])
        assert changes(site.ask("check")) == []


def test_audit_rules_deleted_by_somebody_are_noticed_and_made_anew(tmp_path: Path) -> None:
    with site_with(tmp_path, "audit") as site, Running(site):
        with AuditLink() as link:
            for given in link.rules():
                link.delete(given)
        answer = site.ask("check")
        assert changes(answer) == [("process", "audit", "audit"), ("kernel", "audit", "audit")]
        assert "started again" in told(site, "process")["finding_info"]["title"]
        execute("again")
        site.until_incident("started")


def test_an_audit_socket_that_hears_nothing_is_noticed(tmp_path: Path) -> None:
    with site_with(tmp_path, "audit") as site, Running(site) as running:
        with intruder.netlink_sockets(running.process.pid, control.NETLINK_AUDIT) as sockets:
            intruder.silence(sockets)
        assert changes(site.ask("check"))[0] == ("process", "audit", "audit")
        execute("again")
        site.until_incident("started")


def test_the_connection_rule_cannot_be_deleted_by_others_and_its_loss_is_noticed(
    tmp_path: Path,
) -> None:
    with site_with(tmp_path, "conntrack", "procnet") as site, Running(site) as running:
        assert tiers(site.ask("doctor"))["network"] == "conntrack"
        refused = subprocess.run(
            ["nft", "delete", "table", "inet", "vedette"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert "not permitted" in refused.stderr
        assert changes(site.ask("check")) == []
        intruder.delete_table(running.process.pid)
        # The kernel takes a deleted rule's hooks out by a worker of its own: until then it sees.
        mended = [("network", "conntrack", "conntrack")]
        site.until(lambda: changes(site.ask("check")) == mended)
        assert told(site, "network")["severity_id"] == 4
        assert any("vedette" in json.dumps(part) for part in nft())
        with intruder.netlink_sockets(running.process.pid, NETLINK_NETFILTER) as sockets:
            intruder.silence(sockets)
        assert changes(site.ask("check")) == [("network", "conntrack", "conntrack")]


def nft() -> Sequence[object]:
    listed = kernel_state()["nftables"]
    assert isinstance(listed, list)
    return listed


def test_a_fanotify_group_without_marks_is_noticed(tmp_path: Path) -> None:
    with site_with(tmp_path, "fanotify", "inotify") as site, Running(site) as running:
        assert tiers(site.ask("doctor"))["file"] == "fanotify"
        intruder.flush_marks(running.process.pid)
        assert changes(site.ask("check")) == [("file", "fanotify", "fanotify")]
        told(site, "file")
        (site.watched / "a.seen").write_text("x")
        site.until_incident("changed")


def test_a_file_system_mounted_over_a_watched_tree_is_watched(tmp_path: Path) -> None:
    with site_with(tmp_path, "fanotify", "inotify") as site:
        mount(site.watched)
        try:
            with Running(site):
                umount(site.watched)
                mount(site.watched)
                assert changes(site.ask("check")) == []
                (site.watched / "b.seen").write_text("x")
                site.until_incident("changed")
                subprocess.run(["mount", "-o", "remount,ro", str(site.watched)], check=True)
                assert changes(site.ask("check")) == []
                subprocess.run(["mount", "-o", "remount,rw", str(site.watched)], check=True)
                (site.watched / "c.seen").write_text("x")
                path = str(site.watched / "c.seen")
                site.until(lambda: path in json.dumps(site.find("changed")))
        finally:
            umount(site.watched)


def mount(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)


def umount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


# A real journald in a mount namespace of its own; the sentinel takes the shell's place.
WITH_JOURNALD = """
set -e
mount -t tmpfs none /run; mount -t tmpfs none /var/log
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/dev
printf '[Journal]\\nStorage=volatile\\nAudit=\\nReadKMsg=no\\nForwardToWall=no\\n' \
    >/run/systemd/journald.conf.d/test.conf
mount -t tmpfs none /run/dev
cp -a /dev/null /dev/zero /dev/urandom /dev/random /run/dev/
ln -s /run/systemd/journal/dev-log /run/dev/log
mount --move /run/dev /dev
env -u NOTIFY_SOCKET /lib/systemd/systemd-journald >/dev/null 2>&1 &
echo $! >"$JOURNALD"
while ! [ -S /run/systemd/journal/dev-log ]; do :; done
exec "$@"
"""


def test_a_log_follower_that_is_killed_is_a_loss_and_is_started_again(tmp_path: Path) -> None:
    if not Path("/lib/systemd/systemd-journald").exists() or shutil.which("journalctl") is None:
        pytest.skip("needs systemd-journald and journalctl: apt-get install systemd")
    pid_file = tmp_path / "journald.pid"
    with site_with(tmp_path, "journald", "log_file") as site:
        launcher = ["unshare", "-m", "sh", "-c", WITH_JOURNALD, "sh"]
        try:
            with Running(
                site, launcher=launcher, environment={"JOURNALD": str(pid_file)}
            ) as running:
                assert tiers(site.ask("doctor"))["log"] == "journald"
                for pid, line in children(running.process.pid).items():
                    if "journalctl" in line:
                        os.kill(pid, signal.SIGKILL)
                lost = site.until_incident("vedette:events-lost")
                assert "journalctl ended" in json.dumps(lost)
                assert changes(site.ask("check")) == [("log", "journald", "journald")]
                assert "journalctl ended" in told(site, "log")["evidences"][0]["data"]["Reason"]
                assert changes(site.ask("check")) == []
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
                assert changes(site.ask("check")) == [("log", "journald", "")]
        finally:
            if pid_file.exists() and "journald" in _command(int(pid_file.read_text())):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_after_sigkill_restore_and_a_fresh_start_the_kernel_is_as_before(tmp_path: Path) -> None:
    before = kernel_state()
    with site_with(tmp_path, "audit", "conntrack", "proc_connector") as site:
        with Running(site) as running:
            assert kernel_state() != before
            running.stop(signal.SIGKILL)
        assert "audit: deleted" in _restore(site)
        assert kernel_state() == before
        assert _restore(site) == ""
        with Running(site) as running:
            assert tiers(site.ask("doctor"))["process"] == "audit"
            running.stop(signal.SIGKILL)
        with Running(site) as running:  # nobody restored: the next start does
            assert "audit: deleted" in json.dumps(site.until_incident("vedette:mended"))
            assert tiers(site.ask("doctor"))["kernel"] == "audit"
            assert running.stop() == 0
        assert kernel_state() == before


# Runs programs one after the other; prints how long each took.
STORM = """
import json, os, sys, time
took = []
for number in range(int(sys.argv[2])):
    began = time.monotonic()
    pid = os.posix_spawn("/bin/true", ["true", "seen-me", sys.argv[1], str(number)], {})
    os.waitpid(pid, 0)
    took.append(time.monotonic() - began)
print(json.dumps(sorted(took)))
"""
STORM_SIZE = 3000


def storm(word: str, size: int) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STORM, word, str(size)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    took: list[float] = json.loads(done.stdout)
    return took


def test_a_stopped_sentinel_slows_no_execution_and_accounts_for_all(tmp_path: Path) -> None:
    free = storm("free", 500)
    with site_with(tmp_path, "audit", "proc_connector") as site, Running(site) as running:
        waited = status().backlog_wait_actual
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            stopped = storm("stopped", STORM_SIZE)
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        assert status().backlog_wait_actual == waited, "the kernel let an execution wait"
        assert median(stopped) <= 2 * median(free)
        site.until(lambda: seen(site) + lost(site) >= STORM_SIZE)
        assert seen(site) <= STORM_SIZE


def median(sorted_values: Sequence[float]) -> float:
    return sorted_values[len(sorted_values) // 2]


def status() -> control.Status:
    with AuditLink() as link:
        return link.status()


def seen(site: Site) -> int:
    document = site.find("started")
    return int(document["count"]) if document else 0


def lost(site: Site) -> int:
    rows = site.ask("status")["ledger"]
    return int(sum(row["dropped"] for row in rows if row["stage"] == "audit"))
