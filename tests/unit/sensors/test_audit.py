from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vedette.codec import audit_control as control
from vedette.codec.audit_control import Rule, Status
from vedette.codec.syscalls import AARCH64, ARM, I386, X86_64, Abi
from vedette.errors import ParseError, SensorError
from vedette.sensors import _audit_state
from vedette.sensors._audit_refusals import check_usable, explained
from vedette.sensors._audit_rules import KEY, guarding, rules

GUARDED_PID = 4711
FOUND = Status(0, 0, 1, 0, 0, 64, 0, 0, 127, 15000, 0)
GIVEN = {"failure": 0, "backlog_limit": 8192, "backlog_wait_time": 0, "enabled": 1}


def parsed(abis: tuple[Abi, ...], *, is_alone: bool = True) -> list[Rule]:
    packed = [*rules(abis, is_alone=is_alone), *guarding(abis, [GUARDED_PID])]
    return [control.parse_rule(rule) for rule in packed]


@pytest.mark.parametrize("abis", [(X86_64, I386), (AARCH64, ARM), (ARM,)])
def test_every_abi_of_the_machine_is_watched_for_what_succeeds(abis: tuple[Abi, ...]) -> None:
    watching = [rule for rule in parsed(abis) if rule.filter == control.FILTER_EXIT]
    assert {rule.key for rule in watching} == {KEY}
    assert all((control.FIELD_SUCCESS, 1) in rule.fields for rule in watching)
    for abi in abis:
        of_abi = [rule for rule in watching if rule.fields[0] == (control.FIELD_ARCH, abi.arch)]
        watched = {number for rule in of_abi for number in rule.syscalls}
        assert watched == set(abi.of(*abi.numbers))


def test_ptrace_is_watched_for_attaching_only() -> None:
    of_ptrace = [r for r in parsed((X86_64,)) if r.syscalls == X86_64.of("ptrace")]
    assert {r.fields[-1] for r in of_ptrace} == {
        (control.FIELD_ARG0, 16),
        (control.FIELD_ARG0, 0x4206),
    }


def test_signals_and_memory_are_watched_for_guarded_processes_only() -> None:
    against = X86_64.of("kill", "tgkill", "process_vm_readv", "process_vm_writev")
    watching = [r for r in parsed((X86_64,)) if r.filter == control.FILTER_EXIT]
    of_them = [r for r in watching if set(r.syscalls) & set(against)]
    assert [r.fields[-1] for r in of_them] == [(control.FIELD_ARG0, GUARDED_PID)]


def test_records_are_excluded_only_when_nobody_else_has_rules() -> None:
    excluding = [r for r in parsed((X86_64,)) if r.filter == control.FILTER_EXCLUDE]
    assert {r.fields[0][1] for r in excluding} == {1302, 1307, 1320, 1321, 1327}
    assert {r.key for r in excluding} == {""}
    assert all(r.filter == control.FILTER_EXIT for r in parsed((X86_64,), is_alone=False))


def test_a_free_audit_system_is_taken() -> None:
    check_usable(FOUND)
    check_usable(FOUND._replace(enabled=1, failure=0))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (FOUND._replace(enabled=2), "got enabled=2 .immutable.*reboot"),
        (FOUND._replace(failure=2), "would panic.*auditctl -f 1"),
        (FOUND._replace(pid=1), r"owned by pid 1 \(.*auditd"),
    ],
)
def test_what_would_harm_is_refused_with_what_to_do(status: Status, reason: str) -> None:
    with pytest.raises(SensorError, match=reason):
        check_usable(status)


def test_the_pid_of_an_owner_that_is_gone_is_no_obstacle() -> None:
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    check_usable(FOUND._replace(pid=gone))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EPERM, "CAP_AUDIT_CONTROL"),
        (errno.EPROTONOSUPPORT, "CONFIG_AUDIT"),
        (errno.ECONNREFUSED, "first user namespace"),
        (errno.EIO, "EIO text"),
    ],
)
def test_an_answer_of_the_kernel_is_explained(number: int, reason: str) -> None:
    with pytest.raises(SensorError, match=reason), explained():
        raise OSError(number, "EIO text")
    with pytest.raises(SensorError, match="at offset 3"), explained():
        raise ParseError("broken", 3)


def test_what_is_saved_comes_back_and_names_a_living_owner(tmp_path: Path) -> None:
    assert _audit_state.load(tmp_path) is None
    saved = _audit_state.save(tmp_path, FOUND, GIVEN, [b"\0\1", b"rule"])
    assert _audit_state.load(tmp_path) == saved
    assert saved.rules == [b"\0\1", b"rule"]
    assert (saved.found["backlog_limit"], saved.given["backlog_limit"]) == (64, 8192)
    assert _audit_state.is_alive(saved)
    assert not _audit_state.is_alive(saved._replace(start_ticks=saved.start_ticks + 1))
    assert [path.name for path in tmp_path.iterdir()] == [_audit_state.FILE_NAME]
    assert (tmp_path / _audit_state.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_zombie_does_not_own_anything_any_more(tmp_path: Path) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    saved = _audit_state.save(tmp_path, FOUND, GIVEN, [])
    try:
        assert not _audit_state.is_alive(saved._replace(pid=child))
    finally:
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"pid": 1}', "null", '{"pid":1,"start_ticks":2,"found":{},"given":{}}'],
)
def test_a_damaged_file_is_a_parse_error(text: str, tmp_path: Path) -> None:
    (tmp_path / _audit_state.FILE_NAME).write_text(text)
    with pytest.raises(ParseError, match=r"audit\.json: expected what Vedette wrote"):
        _audit_state.load(tmp_path)
