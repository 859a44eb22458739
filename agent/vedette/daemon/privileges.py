"""Gives privileges up: capabilities, user, new privileges through exec, core dumps.

Rule 1: nothing here ever gains a privilege; each call leaves the process with the same or less.
Rule 2: a call that could not give up what it was asked to raises, so that a part never goes on with
more than it believes to have.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass

from vedette.errors import ConfigError, DeviceError, ParseError

# linux/capability.h, in the order of their numbers from 0.
CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
# linux/capability.h: two 32-bit words per set
CAPABILITY_VERSION_3 = 0x20080522

STATUS = "/proc/self/status"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Privileges:
    """What a process may do: credentials(7), capabilities(7).

    Attributes:
        effective, permitted, inheritable, bounding, ambient: names without CAP_, in lower case; a
            capability newer than this program has its number ("cap_41").
        no_new_privileges: exec can no longer raise privileges.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    effective: frozenset[str]
    permitted: frozenset[str]
    inheritable: frozenset[str]
    bounding: frozenset[str]
    ambient: frozenset[str]
    no_new_privileges: bool


def current(status: str | os.PathLike[str] = STATUS) -> Privileges:
    """What this process (or the one of another /proc/PID/status) may do.

    Raises:
        DeviceError: /proc is not there.
    """
    try:
        with open(status, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 (no pathlib)
            text = stream.read()
    except OSError as error:
        raise DeviceError(f"{status}: {error.strerror}; mount /proc to see privileges") from error
    return parse_status(text)


def parse_status(text: str) -> Privileges:
    """Read proc_pid_status(5).

    Raises:
        ParseError: a line is missing or not as the manual has it.
    """
    lines = dict(line.partition(":")[::2] for line in text.splitlines())
    try:
        return Privileges(
            uid=int(lines["Uid"].split()[1]),
            gid=int(lines["Gid"].split()[1]),
            groups=tuple(int(word) for word in lines["Groups"].split()),
            effective=names(int(lines["CapEff"], 16)),
            permitted=names(int(lines["CapPrm"], 16)),
            inheritable=names(int(lines["CapInh"], 16)),
            bounding=names(int(lines["CapBnd"], 16)),
            # Linux 4.3 and 4.10 brought the last two.
            ambient=names(int(lines.get("CapAmb", "0"), 16)),
            no_new_privileges=lines.get("NoNewPrivs", "0").strip() == "1",
        )
    except (KeyError, ValueError, IndexError) as error:
        raise ParseError(
            f"expected the lines of proc_pid_status(5), got none like {error}"
        ) from error


def drop_to(capabilities: frozenset[str], *, keep_bounding: bool = False) -> Privileges:
    """Keep the user, and of the capabilities only these; privileges can no longer grow by exec.

    Args:
        capabilities: names without CAP_, such as {"audit_control", "net_admin"}; those that the
            process does not have are ignored, since nothing is ever gained.
        keep_bounding: leave the bounding set alone, for a process that has to start others with
            more than it uses itself.

    Returns:
        What is left, read back from the kernel.

    Raises:
        DeviceError: the kernel kept more than asked.
    """
    wanted = mask(capabilities)
    before = current()
    if not keep_bounding:
        _drop_bounding(wanted, before)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, is_optional=True)
    _capset(wanted & mask(before.permitted, is_lenient=True))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    after = current()
    extra = (after.permitted | after.effective | after.inheritable) - capabilities
    if extra:
        raise DeviceError(
            f"expected to keep only {sorted(capabilities)}, still has {sorted(extra)}"
        )
    return after


def become(user: str, keep: frozenset[str] = frozenset()) -> Privileges:
    """Change to another user for good, with its groups, and keep only these capabilities.

    A process that is not root stays who it is and only gives capabilities up.

    Args:
        user: name or uid; "" and the present user change nobody.
        keep: capabilities that survive the change.

    Raises:
        ConfigError: there is no such user.
        DeviceError: the kernel refused, or would let the process become root again.
    """
    uid, gid, groups = account(user) if user else (os.geteuid(), os.getegid(), [])
    if os.geteuid() != 0 or uid == 0 or not user:
        return drop_to(keep)
    # setuid(2) to another user empties the permitted set unless this flag is up.
    _prctl(PR_SET_KEEPCAPS, 1 if keep else 0)
    _drop_bounding(mask(keep), current())
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise DeviceError(
            f"cannot become user {user} ({error.strerror}); the capabilities setuid and setgid are "
            "needed for it"
        ) from error
    after = drop_to(keep, keep_bounding=True)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise DeviceError(f"expected to be uid {uid} gid {gid}, is {os.getresuid()}")
    return after


def account(user: str) -> tuple[int, int, list[int]]:
    """The uid, gid and groups of a user by name or number; a bare uid has its number as group.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError as error:
        if user.isdigit():
            return int(user), int(user), [int(user)]
        raise ConfigError(
            f'there is no user "{user}"; make it with: useradd --system --no-create-home '
            f"--shell /usr/sbin/nologin {user}, or name another one in [uplink] user"
        ) from error
    return entry.pw_uid, entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid)


def forbid_dumps() -> None:
    """No core dump and no ptrace by the same user: this process holds a key (prctl(2))."""
    _prctl(PR_SET_DUMPABLE, 0)


def die_with_parent(signal_number: int, parent_pid: int) -> None:
    """Get a signal when the parent ends; to be called again after `become`, which clears it.

    Args:
        signal_number: what the kernel sends.
        parent_pid: the parent as it was before the fork; if it is gone already, the signal is
            raised at once, since the kernel will not send it.
    """
    _prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal_number)


def missing(needed: Iterable[str]) -> frozenset[str]:
    """Which of these capabilities this process lacks."""
    return frozenset(needed) - current().effective


def names(bits: int) -> frozenset[str]:
    """The capabilities of a bit set."""
    return frozenset(
        CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"cap_{bit}"
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    )


def mask(capabilities: Iterable[str], *, is_lenient: bool = False) -> int:
    """The bit set of capabilities.

    Raises:
        ValueError: a name is unknown, unless `is_lenient`, which skips it.
    """
    bits = 0
    for name in capabilities:
        if name in CAPABILITIES:
            bits |= 1 << CAPABILITIES.index(name)
        elif not is_lenient:
            raise ValueError(f'expected names such as "net_admin", got "{name}"')
    return bits


def _drop_bounding(wanted: int, before: Privileges) -> None:
    """Take all other capabilities from the bounding set, as far as setpcap allows it."""
    if "setpcap" not in before.effective:
        return
    for name in before.bounding:
        number = int(name[4:]) if name.startswith("cap_") else CAPABILITIES.index(name)
        if not wanted >> number & 1:
            _prctl(PR_CAPBSET_DROP, number)


def _capset(bits: int) -> None:
    header = _Header(CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(
        _Sets(bits & 0xFFFFFFFF, bits & 0xFFFFFFFF, 0),
        _Sets(bits >> 32, bits >> 32, 0),
    )
    if _libc().capset(ctypes.byref(header), sets) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise DeviceError(f"cannot give up capabilities: capset says {reason}")


def _prctl(option: int, value: int, *, is_optional: bool = False) -> None:
    arguments = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _libc().prctl(ctypes.c_int(option), *arguments) != 0 and not is_optional:
        reason = os.strerror(ctypes.get_errno())
        raise DeviceError(f"cannot give up privileges: prctl({option}, {value}) says {reason}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
