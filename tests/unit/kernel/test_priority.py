"""The share of a busy processor: taken, given back, and never a stranger's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.kernel import priority

CHILD = "import os, sys; from vedette.kernel import priority; "
NICE = "os.getpriority(os.PRIO_PROCESS, 0)"


def said(code: str, *, is_leader: bool = False) -> list[str]:
    """The words that a process says which runs this."""
    argv = [sys.executable, "-c", CHILD + code]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=30,
        start_new_session=is_leader,
    )  # fmt: skip
    return done.stdout.split("|")


def test_nothing_is_asked_for_where_nothing_is_wanted() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert priority.hasten(0) == ""
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_it_holds_or_says_why_not() -> None:
    why, nice = said(f"print(priority.hasten(-5), {NICE}, sep='|', end='')")
    assert (why, nice) == ("", "-5") or ("sys_nice" in why and nice == "0")


def test_threads_that_are_started_later_have_it_too() -> None:
    code = (
        "import threading; why = priority.hasten(-5); found = []; "
        f"thread = threading.Thread(target=lambda: found.append({NICE})); thread.start(); "
        f"thread.join(); print(found[0] == {NICE}, end='')"
    )
    assert said(code) == ["True"]


@pytest.mark.skipif(not os.access("/proc/self/autogroup", os.F_OK), reason="no autogroups here")
def test_the_session_of_somebody_else_is_left_alone() -> None:
    shown = "open('/proc/self/autogroup').read()"
    code = f"before = {shown}; priority.hasten(-5); print(before == {shown}, end='')"
    assert said(code) == ["True"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take a larger share")
def test_the_kernels_first_session_is_no_group(tmp_path: Path) -> None:
    (tmp_path / "autogroup").write_text("")
    code = (
        f"from pathlib import Path; priority._AUTOGROUP = Path({str(tmp_path / 'autogroup')!r}); "
        "why = priority.hasten(-5); "
        f"print(why, {NICE}, priority._AUTOGROUP.read_text(), sep='|', end='')"
    )
    assert said(code, is_leader=True) == ["", "-5", ""]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take a larger share")
@pytest.mark.skipif(not os.access("/proc/self/autogroup", os.F_OK), reason="no autogroups here")
def test_a_session_of_its_own_has_it_as_a_whole() -> None:
    shown = "open('/proc/self/autogroup').read().split()[-1]"
    code = f"priority.hasten(-5); print({shown}, end='')"
    assert said(code, is_leader=True) == ["-5"]


def test_a_child_is_put_back() -> None:
    code = (
        "import subprocess; priority.hasten(-5); "
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
        "priority.as_others(child.pid); "
        "print(os.getpriority(os.PRIO_PROCESS, child.pid), end=''); child.communicate(b'.')"
    )
    assert said(code) == ["0"]


def test_one_who_has_ended_is_no_error() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    priority.as_others(ended.pid)


def test_who_has_time_stands_back_in_a_session_of_its_own() -> None:
    nice, is_leader = said(
        f"priority.step_back(); print({NICE}, os.getsid(0) == os.getpid(), sep='|', end='')"
    )
    assert (nice, is_leader) == ("19", "True")


SPARED = "open('/proc/self/oom_score_adj').read().strip()"


@pytest.mark.skipif(
    Path("/proc/self/oom_score_adj").read_text().strip() != "0",
    reason="who started us decided who of us is ended first",
)
def test_a_child_is_not_spared_as_we_are() -> None:
    # Raised here: to be spared takes a capability. What counts is that it has what others have.
    code = (
        "import subprocess; open('/proc/self/oom_score_adj', 'w').write('300'); "
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
        "priority.as_others(child.pid); "
        "print(open(f'/proc/{child.pid}/oom_score_adj').read().strip(), end=''); "
        "child.communicate(b'.')"
    )
    assert said(code) == ["0"]


def test_who_has_time_is_ended_before_those_who_watch() -> None:
    assert said(f"priority.step_back(); print({SPARED}, end='')", is_leader=True) == ["500"]
