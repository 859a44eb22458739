"""Executions are denied, and nothing that stops the holder stops the device.

All of it happens on a file system of the test's own, in a mount namespace of its own; the stage
ends by itself after exec_stage.ALARM_S, and then everybody is let go.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.simulators.exec_theatre import DEADLINE_S, Theatre, refusal, runs

from vedette.daemon.deny_lists import essential
from vedette.daemon.holder import guardian, holder
from vedette.errors import ResponseError
from vedette.model.response import FileTarget, Mode, Order, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses.deny_exec import DenyExec

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(refusal()), reason=refusal())]

FREE_WITHIN_S = 0.5
"""Issue C: the guardian frees all waiters in half a second."""
SLACK_S = 0.25
"""For what a test needs to notice, on a machine of two cores where others work too."""
WAITERS = 8
QUEUED = 2


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    made = Theatre(tmp_path)
    try:
        yield made
    finally:
        made.close()


def opened(folder: Path, *options: str) -> contextlib.closing[Theatre]:
    return contextlib.closing(Theatre(folder, *options))


def responder(theatre: Theatre) -> DenyExec:
    folder = theatre.mount_point.parent
    return DenyExec(ResponderContext(folder, folder, options={"socket": str(theatre.socket)}))


def order(path: Path, digest: str = "") -> Order:
    return Order(
        secrets.token_hex(8), "deny_exec", FileTarget(str(path), digest), Mode.ENFORCE, "test", "",
        "", 600.0,
    )  # fmt: skip


def deny(theatre: Theatre, path: Path) -> None:
    asked, denier = order(path), responder(theatre)
    outcome = denier.act(asked, denier.plan(asked))
    assert outcome.status is ResponseStatus.DONE, outcome


def same_size(theatre: Theatre, name: str, letter: bytes) -> Path:
    """A program whose content is its own and whose size is not: the holder has to read it."""
    return theatre.program(name, tail=letter * 64)


def denied_and_asked(theatre: Theatre) -> Path:
    """Deny a program; another one of its size, never executed so far, has to wait for a verdict."""
    deny(theatre, same_size(theatre, "bad", b"b"))
    return same_size(theatre, "good", b"g")


def test_a_denied_content_runs_nowhere_and_everything_else_does(theatre: Theatre) -> None:
    good = denied_and_asked(theatre)
    bad = theatre.mount_point / "bad"
    copy = Path(shutil.copy2(bad, theatre.mount_point / "copy"))
    assert not runs(bad)
    told = theatre.stage.told(condition="exec-denied")
    assert told["Image"] == str(bad)
    assert not runs(copy)
    told = theatre.stage.told(condition="exec-denied")
    assert told["Image"] == str(copy)
    assert told["Hashes"] == f"SHA256={hashlib.sha256(copy.read_bytes()).hexdigest()}"
    assert runs(good)
    assert runs(good)


def test_a_denied_path_is_denied_under_new_content(theatre: Theatre) -> None:
    bad = same_size(theatre, "bad", b"b")
    deny(theatre, bad)
    with bad.open("ab") as stream:
        stream.write(b"another version")
    assert not runs(bad)
    assert "path" in theatre.stage.told(condition="exec-denied")["Reason"]


def test_what_takes_the_place_of_a_judged_file_is_left_alone(theatre: Theatre) -> None:
    bad = same_size(theatre, "bad", b"b")
    asked, denier = order(bad), responder(theatre)
    record = denier.plan(asked)
    evil = bad.rename(theatre.mount_point / "moved")
    same_size(theatre, "bad", b"i")
    outcome = denier.act(asked, record)
    assert outcome.status is ResponseStatus.DONE
    assert runs(bad)
    assert not runs(evil)


def test_a_file_that_is_another_than_the_judged_one_is_refused(theatre: Theatre) -> None:
    bad = same_size(theatre, "bad", b"b")
    with pytest.raises(ResponseError, match="replaced"):
        responder(theatre).plan(order(bad, "00" * 32))


def test_a_file_that_is_gone_is_denied_by_its_digest(theatre: Theatre) -> None:
    bad = same_size(theatre, "bad", b"b")
    digest = hashlib.sha256(bad.read_bytes()).hexdigest()
    kept = bad.read_bytes()
    bad.unlink()
    asked, denier = order(bad, digest), responder(theatre)
    assert denier.act(asked, denier.plan(asked)).status is ResponseStatus.DONE
    again = theatre.mount_point / "again"
    again.write_bytes(kept)
    again.chmod(0o755)
    assert not runs(again)


def test_essential_programs_are_never_denied(tmp_path: Path) -> None:
    shell = tmp_path / "mount" / "sh"
    with opened(tmp_path, f"essential={shell}", "unknown=deny") as theatre:
        same_size(theatre, "sh", b"s")
        asked, denier = order(shell), responder(theatre)
        outcome = denier.act(asked, denier.plan(asked))
        assert outcome.status is ResponseStatus.FAILED
        assert "essential" in outcome.detail
        assert runs(shell)  # though it is in no baseline
        other = same_size(theatre, "new", b"n")
        other.replace(shell)  # an update in place: another inode, still essential
        assert runs(shell)
        assert not runs(same_size(theatre, "other", b"o"))


def test_what_is_on_no_list_of_a_fixed_function_device_is_denied(tmp_path: Path) -> None:
    known = Path("/bin/true").read_bytes()
    entry = f"allowed={len(known)}:{hashlib.sha256(known).hexdigest()}"
    with opened(tmp_path, "unknown=deny", entry) as theatre:
        assert runs(theatre.program("known"))
        assert not runs(theatre.program("unknown", tail=b"x"))
        assert "profile" in theatre.stage.told(condition="exec-denied")["Reason"]


def test_unknown_programs_are_told_once_each_where_they_are_observed(tmp_path: Path) -> None:
    with opened(tmp_path, "unknown=observe") as theatre:
        first, second = (theatre.program(name, tail=name.encode()) for name in ("one", "two"))
        assert runs(first)
        assert runs(first)
        assert runs(second)
        assert theatre.stage.told(condition="exec-unlisted")["Image"] == str(first)
        assert theatre.stage.told(condition="exec-unlisted")["Image"] == str(second)


def written(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-64, os.SEEK_END)
        stream.write(b"b" * 64)


def written_through_a_mapping(path: Path) -> None:
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[-64:] = b"b" * 64


def renamed_over(path: Path) -> None:
    shutil.copy2(path.with_name("bad"), path.with_name("next"))
    path.with_name("next").replace(path)


@pytest.mark.parametrize("change", [written, written_through_a_mapping, renamed_over])
def test_what_the_kernel_lets_pass_is_judged_again_after_a_change(
    theatre: Theatre, change: Callable[[Path], None]
) -> None:
    good = denied_and_asked(theatre)
    assert runs(good)
    asked = answered(theatre)
    assert runs(good)
    assert answered(theatre) == asked  # the kernel let it pass by itself
    change(good)
    until_s = time.monotonic() + DEADLINE_S
    # The mark goes when the holder has handled the last close: moments later.
    while runs(good):
        assert time.monotonic() < until_s, "a denied content went on being executed"


def answered(theatre: Theatre) -> int:
    """How many executions the holder was asked about, by its switches to and from sleep.

    Idle means that everything was handled: it sleeps in poll(2) without a limit.
    """
    status = Path(f"/proc/{theatre.stage.holder}/io").read_text()
    return int(status.split("syscr: ")[1].split()[0])


def test_a_big_unknown_file_runs_and_is_hashed_after(theatre: Theatre) -> None:
    bad = theatre.program("bad", tail=bytes(holder.INLINE_BYTES))
    deny_content_of(theatre, bad)
    assert runs(bad)
    assert "too big" in theatre.stage.told(condition="exec-unjudged")["Reason"]
    told = theatre.stage.told(condition="exec-denied-late")
    assert told["Image"] == str(bad)
    assert not runs(bad)


def deny_content_of(theatre: Theatre, path: Path) -> None:
    """Deny the content alone: the path was another one's."""
    asked, denier = order(path), responder(theatre)
    record = dict(denier.plan(asked))
    record["path"] = str(path.with_name("gone"))
    assert denier.act(asked, record).status is ResponseStatus.DONE


def test_the_holder_has_few_descriptors_of_its_own(theatre: Theatre) -> None:
    denied_and_asked(theatre)
    opened = Path(f"/proc/{theatre.stage.holder}/fd").iterdir()
    assert len(list(opened)) < guardian.DESCRIPTORS_MAX // 8


class Waiters:
    """Programs that begin to run at once, each with the seconds until it has run."""

    def __init__(self, path: Path) -> None:
        self._began_s = time.monotonic()
        self._processes = [
            subprocess.Popen([sys.executable, "-I", "-S", "-c", RUNNER, str(path)])
            for _ in range(WAITERS)
        ]

    def freed_s(self) -> float:
        """Seconds from the first start to the last end; nobody was denied."""
        for process in self._processes:
            assert process.wait(DEADLINE_S) == 0
        return time.monotonic() - self._began_s

    def await_ended(self, count: int) -> None:
        """Return when so many have run."""
        until_s = time.monotonic() + DEADLINE_S
        while sum(process.poll() == 0 for process in self._processes) < count:
            assert time.monotonic() < until_s, f"expected {count} to have run"

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


RUNNER = "import os, sys; os.execv(sys.argv[1], [sys.argv[1]])"


def cost_of_starting(path: Path) -> float:
    """What the same programs take while nobody is asked."""
    with contextlib.closing(Waiters(path)) as waiters:
        return waiters.freed_s()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV])
def test_a_holder_that_is_stopped_or_killed_holds_nobody(
    theatre: Theatre, number: signal.Signals
) -> None:
    idle_s = cost_of_starting(Path("/bin/true"))
    good = denied_and_asked(theatre)
    os.kill(theatre.stage.holder, number)
    with contextlib.closing(Waiters(good)) as waiters:
        assert waiters.freed_s() < FREE_WITHIN_S + idle_s + SLACK_S
    assert theatre.stage.told(condition="holder-lost")["Reason"]
    theatre.stage.told(up=True)
    assert not runs(theatre.mount_point / "bad")  # and the next one knows the bans


def test_a_guardian_that_is_killed_takes_the_holder_with_it(theatre: Theatre) -> None:
    good = denied_and_asked(theatre)
    os.kill(theatre.stage.holder, signal.SIGSTOP)
    with contextlib.closing(Waiters(good)) as waiters:
        os.kill(theatre.stage.guardian, signal.SIGKILL)
        assert waiters.freed_s() < DEADLINE_S
    theatre.stage.told(up=True)


def test_both_stopped_hold_no_essential_program_and_are_ended(tmp_path: Path) -> None:
    shell = tmp_path / "mount" / "sh"
    with opened(tmp_path, f"essential={shell}") as theatre:
        same_size(theatre, "sh", b"s")
        good = denied_and_asked(theatre)
        stage = theatre.stage
        for pid in (stage.guardian, stage.holder):
            os.kill(pid, signal.SIGSTOP)
        assert runs(shell)
        with contextlib.closing(Waiters(good)) as waiters:
            assert runs(shell)
            assert waiters.freed_s() < DEADLINE_S  # once the sentinel has asked them in vain
        assert stage.told(condition="holder-lost")


def test_an_agent_that_is_killed_leaves_nothing_denied_and_nobody_waiting(
    theatre: Theatre,
) -> None:
    good = denied_and_asked(theatre)
    pids = [theatre.stage.guardian, theatre.stage.holder]
    theatre.stage.kill()
    assert runs(good)
    until_s = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until_s, "the holder outlived the agent"
    assert runs(theatre.mount_point / "bad")


def test_a_stopped_agent_changes_no_verdict(theatre: Theatre) -> None:
    good = denied_and_asked(theatre)
    pid = theatre.stage.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert runs(good)
        assert not runs(theatre.mount_point / "bad")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert theatre.stage.told(condition="exec-denied")


@pytest.mark.usefixtures("kernel")
def test_a_full_queue_lets_go_and_is_told(tmp_path: Path) -> None:
    limit = Path("/proc/sys/fs/fanotify/max_queued_events")
    before = limit.read_text()
    limit.write_text(str(QUEUED))  # a group takes it when it is made
    try:
        theatre = Theatre(tmp_path)
    finally:
        limit.write_text(before)
    with contextlib.closing(theatre):
        good = denied_and_asked(theatre)
        pids = (theatre.stage.guardian, theatre.stage.holder)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with contextlib.closing(Waiters(good)) as waiters:
            waiters.await_ended(WAITERS - QUEUED)  # nobody answered: there was no room to wait
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            waiters.await_ended(WAITERS)
        while "queue was full" not in theatre.stage.told(condition="exec-unjudged")["Reason"]:
            continue
        assert not runs(theatre.mount_point / "bad")


def test_a_storm_of_new_files_is_answered_in_time(theatre: Theatre) -> None:
    deny(theatre, same_size(theatre, "bad", b"b"))
    count = 200
    paths = [
        theatre.program(f"p{number}", tail=f"{number:064d}".encode()) for number in range(count)
    ]
    with ThreadPoolExecutor(WAITERS) as pool:
        assert all(pool.map(runs, paths))
    assert not runs(theatre.mount_point / "bad")
    assert theatre.stage.holder


def test_a_scripts_interpreter_is_asked_about_and_so_is_the_script(theatre: Theatre) -> None:
    script = theatre.mount_point / "script"
    script.write_text("#!/bin/true\n" + "#" * 100)
    script.chmod(0o755)
    deny(theatre, script)
    assert not runs(script)
    # What the threat model says of interpreters: the same text, given to one, is not executed.
    assert subprocess.run(["/bin/sh", script], check=False).returncode == 0


def test_a_program_in_memory_cannot_be_denied(theatre: Theatre) -> None:
    bad = same_size(theatre, "bad", b"b")
    deny(theatre, bad)
    memory = os.memfd_create("vedette-test")
    try:
        os.write(memory, bad.read_bytes())
        path = f"/proc/{os.getpid()}/fd/{memory}"
        assert subprocess.run([path], check=False, close_fds=False).returncode == 0
    finally:
        os.close(memory)


def test_a_program_given_to_the_loader_cannot_be_denied(theatre: Theatre) -> None:
    loaders = [path for path in essential() if Path(path).name.startswith("ld-")]
    if not loaders:
        pytest.skip("this system has no dynamic loader")
    bad = same_size(theatre, "bad", b"b")
    deny(theatre, bad)
    done = [subprocess.run([one, bad], check=False, capture_output=True) for one in loaders]
    assert any(one.returncode == 0 for one in done)


@pytest.mark.usefixtures("kernel")
def test_the_same_holder_in_a_frozen_cgroup_holds_nobody(theatre: Theatre) -> None:
    freezer = Path("/sys/fs/cgroup/freezer")
    if not freezer.is_dir():
        pytest.skip("needs a v1 freezer hierarchy at /sys/fs/cgroup/freezer")
    cell = freezer / f"vedette-test-{secrets.token_hex(4)}"
    cell.mkdir()
    good = denied_and_asked(theatre)
    pid = theatre.stage.holder
    try:
        (cell / "cgroup.procs").write_text(str(pid))
        (cell / "freezer.state").write_text("FROZEN")
        with contextlib.closing(Waiters(good)) as waiters:
            assert waiters.freed_s() < FREE_WITHIN_S + cost_of_starting(Path("/bin/true")) + SLACK_S
    finally:
        (cell / "freezer.state").write_text("THAWED")
        until_s = time.monotonic() + DEADLINE_S
        while (cell / "cgroup.procs").read_text():
            assert time.monotonic() < until_s, "the killed holder is still in its cgroup"
        cell.rmdir()


def test_nothing_is_watched_until_something_is_denied(theatre: Theatre) -> None:
    good = theatre.program("good")
    os.kill(theatre.stage.guardian, signal.SIGSTOP)
    os.kill(theatre.stage.holder, signal.SIGSTOP)
    assert runs(good)  # nobody was asked, or it would wait
