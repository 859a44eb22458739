"""The audit rules that make the kernel tell what the audit sensor watches.

Rule 1: every rule carries our key, except exclusions, which the kernel ignores when they have one
(kernel/audit.c, audit_filter; measured on 6.18).
Rule 2: records that nobody reads are excluded, unless somebody else has rules of their own: the
exclusion would blind them too.
Rule 3: executions and guarded calls are told only when they succeed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vedette.codec import audit, syscalls
from vedette.codec import audit_control as control
from vedette.codec.audit_control import Rule

KEY: Final = "vedette-sentinel"
"""Marks our rules."""

PTRACE_ATTACH: Final = 16
PTRACE_SEIZE: Final = 0x4206
BPF_PROG_LOAD: Final = 5

_EXCLUDED: Final = (
    audit.AUDIT_PATH, audit.AUDIT_CWD, audit.AUDIT_PROCTITLE, audit.AUDIT_EOE,
    audit.AUDIT_BPRM_FCAPS,
)  # fmt: skip
"""Records of every execution that we do not read."""
_GUARDED: Final = (
    "init_module", "finit_module", "delete_module", "mount", "move_mount", "umount2", "capset",
    "setuid", "setreuid", "setresuid", "setgid", "setregid", "setresgid", "memfd_create",
    "settimeofday",
)  # fmt: skip
_AGAINST: Final = ("kill", "tgkill", "process_vm_readv", "process_vm_writev")
"""Calls whose first argument names the process that they are done to."""
_CLOCK_REALTIME: Final = 0


def rules(abis: tuple[syscalls.Abi, ...], *, is_alone: bool) -> list[bytes]:
    """Our rules for the ABIs of a machine.

    Args:
        abis: the first is the machine's own.
        is_alone: nobody else has rules, so that records we do not need can be excluded.
    """
    wanted = [
        Rule(control.FILTER_EXCLUDE, control.ACTION_NEVER, ((control.FIELD_MSGTYPE, kind),),
             tuple(control.ALL_SYSCALLS), "")
        for kind in (_EXCLUDED if is_alone else ())
    ]  # fmt: skip
    for abi in abis:
        wanted += [
            _exit_rule(abi, abi.of("execve", "execveat"), (control.FIELD_SUCCESS, 1)),
            _exit_rule(abi, abi.of(*_GUARDED), (control.FIELD_SUCCESS, 1)),
        ]
        wanted += [
            _exit_rule(abi, abi.of("ptrace"), (control.FIELD_SUCCESS, 1), (control.FIELD_ARG0, how))
            for how in (PTRACE_ATTACH, PTRACE_SEIZE)
        ]
        setting = (control.FIELD_ARG0, _CLOCK_REALTIME)
        wanted.append(_exit_rule(abi, abi.of("clock_settime"), (control.FIELD_SUCCESS, 1), setting))
        loading = (control.FIELD_ARG0, BPF_PROG_LOAD)
        wanted.append(_exit_rule(abi, abi.of("bpf"), (control.FIELD_SUCCESS, 1), loading))
    return [control.pack_rule(rule) for rule in wanted]


def guarding(abis: tuple[syscalls.Abi, ...], pids: Iterable[int]) -> list[bytes]:
    """Rules that tell of signals to these processes, and of who reads or writes their memory."""
    return [
        control.pack_rule(
            _exit_rule(
                abi, abi.of(*_AGAINST), (control.FIELD_SUCCESS, 1), (control.FIELD_ARG0, pid)
            )
        )
        for abi in abis
        for pid in sorted(pids)
    ]


def executions(abis: tuple[syscalls.Abi, ...]) -> list[bytes]:
    """Those of our rules that tell of executions."""
    return [
        control.pack_rule(_exit_rule(abi, abi.of("execve", "execveat"), (control.FIELD_SUCCESS, 1)))
        for abi in abis
    ]


def _exit_rule(abi: syscalls.Abi, numbers: tuple[int, ...], *conditions: tuple[int, int]) -> Rule:
    fields = ((control.FIELD_ARCH, abi.arch), *conditions)
    return Rule(control.FILTER_EXIT, control.ACTION_ALWAYS, fields, numbers, KEY)
