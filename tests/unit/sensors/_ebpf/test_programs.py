"""What a kernel offers, read from its types; and the tables of system calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.codec import syscalls
from vedette.model.event import EventClass
from vedette.sensors._ebpf import cgroups, programs
from vedette.sensors._ebpf.cgroups import Cgroups
from vedette.sensors._ebpf.object import MAX_CALLS
from vedette.sensors._ebpf.programs import tracepoints


@pytest.mark.parametrize(
    "before", [0, 1, *range(256 * 1024 - 24, 256 * 1024 + 2), 512 * 1024 - 23, 10**6]
)
def test_a_tracepoint_is_found_wherever_its_name_stands(
    before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = tmp_path / "vmlinux"
    types.write_bytes(b"x" * before + b"\0btf_trace_module_load\0more\0")
    monkeypatch.setattr(programs, "BTF_FILE", str(types))
    assert tracepoints(["module_load"]) == {"module_load"}
    names = ("module_load", "module_loa", "module_free", "odule_load")
    assert tracepoints(names) == {"module_load"}


def test_a_kernel_without_types_has_no_tracepoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "BTF_FILE", "/nowhere/vmlinux")
    assert tracepoints(["module_load"]) == frozenset()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_call_we_watch_has_its_number_in_every_abi(machine: str) -> None:
    for abi in syscalls.abis(machine):
        for name in programs._CALLS:
            assert abi.of(name), (hex(abi.arch), name)
            assert all(number < MAX_CALLS for number in abi.of(name))


def test_every_class_has_programs() -> None:
    assert set(programs.TRACEPOINTS) == {
        EventClass.PROCESS,
        EventClass.NETWORK,
        EventClass.KERNEL,
    }


def test_without_a_hierarchy_no_cgroup_has_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mount_point", lambda: "")
    known = Cgroups()
    assert not known.open()
    assert (known.fd, known.path_of(1), known.path_of(77)) == (-1, "", "")
    known.close()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("", ""),
        ("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"),
        (
            (
                "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                "31 23 0:27 / /run/my\\040cgroups rw - cgroup2 none rw\n"
            ),
            "/run/my cgroups",
        ),
        ("nonsense", ""),
    ],
)
def test_where_the_hierarchy_is_mounted(
    text: str, point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(text)
    monkeypatch.setattr(cgroups, "MOUNTS", mounts)
    assert cgroups.mount_point() == point


def test_a_thousand_cgroups_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Cgroups()
    for number in range(1000):
        known.path_of(number)
    assert len(known._known) <= cgroups.MAX_KNOWN
