"""The process table: ancestry, applets, reuse of pids, bounds."""

from __future__ import annotations

import pytest

from vedette.core.process_table import JUST_ENDED_S, KEEP_ENDED_S, ProcessTable, alias_of
from vedette.model.event import ProcessForked, ProcessStarted
from vedette.model.process import ProcessKey


def started(
    pid: int, ppid: int, image: str, at_s: float = 1.0, start_ticks: int = 0
) -> ProcessStarted:
    return ProcessStarted(
        at_s=at_s,
        tier="test",
        pid=pid,
        ppid=ppid,
        start_ticks=start_ticks,
        image=image,
        argv0=image,
        command_line=image,
        is_complete=True,
        uid=0,
        login_uid=-1,
        cwd="",
        cgroup="",
        device=0,
        inode=0,
    )


def test_a_chain_names_the_ancestors_nearest_first() -> None:
    table = ProcessTable()
    for pid, ppid, image in ((1, 0, "/init"), (10, 1, "/sbin/httpd"), (11, 10, "/bin/sh")):
        table.start(started(pid, ppid, image))
    assert [p.image for p in table.chain(11)] == ["/bin/sh", "/sbin/httpd", "/init"]
    process = table.get(11)
    assert process is not None
    assert process.lineage == "/sbin/httpd|/init"


def test_a_tree_is_fixed_at_birth_and_outlives_what_made_it() -> None:
    table = ProcessTable()
    table.start(started(1, 0, "/init"))
    table.start(started(10, 1, "/sbin/httpd", start_ticks=77))
    shell = table.start(started(11, 10, "/bin/sh"))
    table.end(10, 2.0)
    table.end(999, 100.0)
    child = table.start(started(12, 11, "/bin/ls"))
    again = table.start(started(12, 1, "/bin/cat"))
    assert {shell.tree, child.tree, again.tree} == {ProcessKey(10, 77)}
    table.fork(ProcessForked(at_s=2.0, tier="test", pid=13, ppid=12, start_ticks=5))
    forked = table.get(13)
    assert forked is not None
    assert forked.tree == ProcessKey(10, 77)
    assert table.start(started(20, 1, "/sbin/sshd")).tree == ProcessKey(20, 0)


def test_a_storm_does_not_push_out_where_it_comes_from() -> None:
    table = ProcessTable(limit=1000)
    for pid in range(10, 15):
        table.start(started(pid, pid - 1 if pid > 10 else 1, f"/bin/{pid}"))
    for pid in range(100, 5000):
        table.start(started(pid, 14, "/bin/true"))
    assert [p.pid for p in table.chain(4999)] == [4999, 14, 13, 12, 11, 10]
    assert table.evicted > 3000


def test_a_loop_of_parents_ends() -> None:
    table = ProcessTable()
    table.start(started(5, 6, "/a"))
    table.start(started(6, 5, "/b"))
    assert [p.pid for p in table.chain(5)] == [5, 6]


def test_a_fork_is_what_its_parent_is() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/sbin/telnetd"))
    table.fork(ProcessForked(at_s=2.0, tier="test", pid=11, ppid=10, start_ticks=5))
    child = table.get(11)
    assert child is not None
    assert (child.image, child.ppid, child.lineage) == ("/sbin/telnetd", 10, "/sbin/telnetd")


def test_an_ended_process_is_known_for_a_while_and_then_forgotten() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/tmp/x"))
    table.end(10, 5.0)
    assert table.get(10) is not None
    assert not table.is_running("/tmp/x", 99.0)
    table.end(999, 5.0 + KEEP_ENDED_S + 0.1)
    assert table.get(10) is None


def test_a_pid_used_again_inherits_nothing() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/tmp/x", start_ticks=100))
    table.end(10, 5.0)
    again = table.start(started(10, 2, "/bin/ls", at_s=6.0))
    assert again.start_ticks == 0
    assert again.ppid == 2
    table.end(999, 30.0)
    assert table.get(10) is again


def test_a_second_exec_keeps_the_start_time() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/bin/sh", start_ticks=100))
    assert table.start(started(10, 1, "/bin/ls", at_s=6.0)).start_ticks == 100


def test_a_sweep_ends_what_is_not_alive() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/bin/a"))
    table.start(started(11, 1, "/bin/b"))
    table.sweep(frozenset({11}), 5.0)
    assert not table.is_running("/bin/a", 99.0)
    assert table.is_running("/bin/b", 99.0)


def test_the_oldest_goes_first_and_evictions_are_counted() -> None:
    table = ProcessTable(limit=3)
    for pid in range(10, 15):
        table.start(started(pid, 1, f"/bin/{pid}"))
    assert len(table) == 3
    assert table.evicted == 2
    assert 10 not in table
    assert not table.is_running("/bin/10", 99.0)


def test_who_has_ended_goes_before_who_runs() -> None:
    table = ProcessTable(limit=3)
    for pid in range(10, 13):
        table.start(started(pid, 1, f"/bin/{pid}"))
    table.end(11, 2.0)
    table.start(started(20, 1, "/bin/20", at_s=2.0))
    table.start(started(21, 1, "/bin/21", at_s=2.0))
    assert [pid for pid in (10, 11, 12, 20, 21) if pid in table] == [12, 20, 21]


def test_a_storm_of_ends_is_kept_within_bounds() -> None:
    table = ProcessTable(limit=8)
    for number in range(1000):
        table.start(started(10 + number % 4, 1, f"/bin/{number}", at_s=2.0))
        table.end(10 + number % 4, 2.0)
    assert len(table._ended) <= 8
    assert len(table._just_ended) <= 8


def test_a_program_that_just_ended_counts_as_running() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/tmp/x"))
    table.end(10, 5.0)
    assert table.is_running("/tmp/x", 5.0 + JUST_ENDED_S)
    assert not table.is_running("/tmp/x", 5.01 + JUST_ENDED_S)


def test_a_daemon_keeps_the_parent_that_it_was_born_of() -> None:
    table = ProcessTable()
    table.start(started(1, 0, "/init"))
    table.start(started(10, 1, "/sbin/httpd", start_ticks=77))
    table.fork(ProcessForked(at_s=2.0, tier="test", pid=11, ppid=10, start_ticks=80))
    table.fork(ProcessForked(at_s=2.0, tier="test", pid=12, ppid=11, start_ticks=80))
    table.end(11, 2.0)
    daemon = table.start(started(12, 1, "/tmp/x", start_ticks=80))
    assert (daemon.ppid, daemon.lineage) == (11, "/sbin/httpd|/sbin/httpd|/init")
    assert daemon.tree == ProcessKey(10, 77)


def test_a_pid_used_again_unseen_inherits_nothing() -> None:
    table = ProcessTable()
    table.start(started(10, 5, "/tmp/x", start_ticks=100))
    again = table.start(started(10, 1, "/bin/ls", at_s=6.0, start_ticks=200))
    assert (again.ppid, again.tree) == (1, ProcessKey(10, 200))


def test_two_processes_of_one_program_are_running_until_both_end() -> None:
    table = ProcessTable()
    table.start(started(10, 1, "/bin/a"))
    table.start(started(11, 1, "/bin/a"))
    table.end(10, 2.0)
    assert table.is_running("/bin/a", 99.0)
    table.end(11, 2.0)
    assert not table.is_running("/bin/a", 99.0)


@pytest.mark.parametrize(
    ("image", "argv0", "command_line", "alias"),
    [
        ("/usr/bin/kmod", "/sbin/lsmod", "/sbin/lsmod", "/usr/bin/lsmod"),
        ("/usr/bin/pgrep", "pkill", "pkill -9 cron", "/usr/bin/pkill"),
        ("/usr/bin/systemctl", "systemctl", "systemctl stop x", ""),
        ("/usr/bin/systemctl", "reboot", "reboot", "/usr/bin/reboot"),
        ("/bin/busybox", "wget", "wget http://x", "/bin/wget"),
        ("/bin/busybox", "-ash", "-ash", "/bin/ash"),
        ("/bin/busybox", "/usr/bin/tftp", "/usr/bin/tftp -g", "/bin/tftp"),
        ("/bin/busybox", "busybox", "busybox nc -l", "/bin/nc"),
        ("/bin/busybox", "busybox", "busybox", ""),
        ("/usr/bin/wget", "wget", "wget", ""),
        ("/bin/busybox", "", "", ""),
    ],
)
def test_an_applet_is_named(image: str, argv0: str, command_line: str, alias: str) -> None:
    assert alias_of(image, argv0, command_line) == alias


def test_who_runs_a_file_is_the_one_that_runs_it_for_longest() -> None:
    table = ProcessTable()
    assert table.runner("/opt/x") is None
    for pid, image, at_s in ((30, "/opt/x", 5.0), (20, "/opt/x", 3.0), (10, "/opt/y", 1.0)):
        table.start(started(pid, 1, image, at_s))
    runner = table.runner("/opt/x")
    assert runner is not None
    assert runner.pid == 20
    table.end(20, 6.0)
    runner = table.runner("/opt/x")
    assert runner is not None
    assert runner.pid == 30
    table.end(30, 7.0)
    assert table.runner("/opt/x") is None
