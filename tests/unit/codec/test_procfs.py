from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec import procfs
from vedette.errors import ParseError

STAT = b"42 (sh) S 7 40 39 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 123456 2000000 300 0 0\n"


def test_stat_gives_parent_start_and_what_is_inherited() -> None:
    expected = procfs.Stat(42, "sh", "S", 7, 123456, group=40, session=39, flags=0x400000)
    assert procfs.parse_stat(STAT) == expected
    assert not expected.is_kernel_thread


def test_one_that_has_ended_has_no_group_and_no_session() -> None:
    stat = procfs.parse_stat(STAT.replace(b"S 7 40 39", b"X 7 -1 -1"))
    assert (stat.group, stat.session) == (-1, -1)


def test_a_kernel_thread_is_told_by_its_flags() -> None:
    name = b"(" + b"kworker/0:0" + b")"
    stat = procfs.parse_stat(STAT.replace(b"(sh)", name).replace(b"4194304", b"69238880"))
    assert stat.is_kernel_thread


@pytest.mark.parametrize("name", ["a) R 1 2", "(", ")", "", " ", "\n", "x" * 15, "42 (sh) S 9"])
def test_no_name_shifts_a_field(name: str) -> None:
    stat = procfs.parse_stat(STAT.replace(b"(sh)", b"(" + name.encode() + b")"))
    assert (stat.name, stat.ppid, stat.start_ticks) == (name, 7, 123456)


def test_stat_cut_before_the_start_time_is_refused() -> None:
    assert taken_when_cut(procfs.parse_stat, STAT, range(STAT.index(b"123456"))) == []


def test_our_own_stat_is_read() -> None:
    stat = procfs.parse_stat(Path("/proc/self/stat").read_bytes())
    assert (stat.pid, stat.ppid) == (os.getpid(), os.getppid())


@pytest.mark.parametrize(
    ("data", "argv0", "line"),
    [
        (b"", "", ""),
        (b"/bin/sh\0-c\0echo a  b\0", "/bin/sh", "/bin/sh -c echo a  b"),
        (b"one\0\0", "one", "one "),
        (b"\0x\0", "", " x"),
        (b"sshd: root@pts/0", "sshd: root@pts/0", "sshd: root@pts/0"),
        (b"cut\0off", "cut", "cut off"),
        (b"\xff\0", "\udcff", "\udcff"),
    ],
)
def test_cmdline(data: bytes, argv0: str, line: str) -> None:
    assert procfs.parse_cmdline(data) == (argv0, line)


def test_uids() -> None:
    status = b"Name:\tUid: 7\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"
    assert procfs.parse_uids(status) == (1000, 0)
    assert procfs.parse_uids(status.partition(b"\nGid")[0]) == (1000, 0)
    for broken in (
        b"",
        status.replace(b"\nUid", b"\nXid"),
        b"x\nUid:\t1\t2\n",
        b"x\nUid:\t1 - 3 4",
    ):
        with pytest.raises(ParseError):
            procfs.parse_uids(broken)


@pytest.mark.parametrize(
    ("data", "path", "unit"),
    [
        (b"", "", ""),
        (b"0::/\n", "/", ""),
        (b"0::/system.slice/ssh.service\n", "/system.slice/ssh.service", "ssh.service"),
        (
            b"2:cpu:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n",
            "/system.slice/cron.service",
            "cron.service",
        ),
        (b"2:cpu:/only\n", "/only", ""),
        (b"0::/user.slice/user-0.slice/session-1.scope/a:b\n", None, "session-1.scope"),
        (b"nonsense\n", "", ""),
    ],
)
def test_cgroup(data: bytes, path: str | None, unit: str) -> None:
    assert path is None or procfs.cgroup_path(data) == path
    assert procfs.parse_cgroup(data) == unit


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    for parse in (procfs.parse_stat, procfs.parse_uids):
        with contextlib.suppress(ParseError):
            parse(data)
    procfs.parse_cmdline(data)
    assert procfs.parse_cgroup(data) in procfs.cgroup_path(data)


WHOLE = (
    b"42 (a) b) S 7 40 39 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 123456 2000000 300 "
    b"18446744073709551615 4096 8192 7000 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 1 2 3 7001 7002 "
    b"7002 7003 0\n"
)


def test_the_layout_of_a_program() -> None:
    assert procfs.parse_layout(WHOLE) == procfs.Layout(4096, 7000, 7001, 7003)
    assert procfs.parse_stat(WHOLE).start_ticks == 123456


def test_a_withheld_layout_is_none() -> None:
    withheld = WHOLE.replace(b"4096 8192 7000", b"1 1 0").replace(
        b"7001 7002 7002 7003", b"0 0 0 0"
    )
    assert procfs.parse_layout(withheld) is None


def test_a_layout_cut_short_is_refused() -> None:
    assert taken_when_cut(procfs.parse_layout, WHOLE, range(WHOLE.index(b" 7003"))) == []


@given(st.binary(max_size=400))
def test_any_bytes_give_a_layout_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        procfs.parse_layout(data)
    with contextlib.suppress(ParseError):
        procfs.parse_layout(WHOLE.replace(b"4096", data))


CGROUPS = b"9:name=systemd:/a\n7:cpu,freezer:/b:c/d\n0::/e\n"


@pytest.mark.parametrize(
    ("controller", "path"),
    [("freezer", "/b:c/d"), ("cpu", "/b:c/d"), ("", "/e"), ("name=systemd", "/a"), ("pids", "")],
)
def test_the_cgroup_of_one_hierarchy(controller: str, path: str) -> None:
    assert procfs.cgroup_in(CGROUPS, controller) == path


@pytest.mark.parametrize("data", [b"", b"0:", b"0::", b"0::x", b"7:freezer", b"\n\n", b":::"])
def test_a_line_that_is_none_is_no_cgroup(data: bytes) -> None:
    assert procfs.cgroup_in(data, "") == procfs.cgroup_in(data, "freezer") == ""
