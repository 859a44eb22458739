"""Audit records (text) become events: several records of one serial are joined.

Rule 1: a record's netlink length does not count its header (kernel/audit.c, audit_log_end), so the
datagram's own length is used.
Rule 2: what is pending is bounded in number and in bytes; what must go early is emitted as
incomplete, never dropped.
Rule 3: the end-of-event record is not needed: an execution is whole with its last argument, and
the tail of an event that was cut off is emitted by `flush`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vedette.codec.audit_execve import Arguments, value_bytes
from vedette.codec.syscalls import NAMES
from vedette.errors import ParseError
from vedette.model.event import Activity, Event, KernelActivity, ProcessStarted

AUDIT_SYSCALL: Final = 1300
AUDIT_PATH: Final = 1302
AUDIT_CWD: Final = 1307
AUDIT_EXECVE: Final = 1309
AUDIT_EOE: Final = 1320
AUDIT_BPRM_FCAPS: Final = 1321
AUDIT_CAPSET: Final = 1322
AUDIT_PROCTITLE: Final = 1327
AUDIT_KERN_MODULE: Final = 1330
"""linux/audit.h: record types."""

HEADER_BYTES: Final = 16
MAX_RECORD_BYTES: Final = 16 + 8970
"""MAX_AUDIT_MESSAGE_LENGTH (linux/audit.h) and the netlink header."""

MAX_PENDING: Final = 512
MAX_PENDING_BYTES: Final = 1 << 20
"""Ours: only as many events are pending as processors write at once, and those that were cut."""

_UNSET_ID: Final = 0xFFFFFFFF
_TEXT = rb'("[^"]*"|[0-9A-Fa-f]*|\(\w+\))'
_STAMP = re.compile(rb"audit\((\d{1,11})\.(\d{3}):(\d{1,10})\):")
_SYSCALL = re.compile(
    rb"audit\((\d{1,11}\.\d{3}):(\d{1,10})\): arch=([0-9a-f]{1,8}) syscall=(\d{1,10})"
    rb"(?: per=[0-9a-f]+)? success=(yes|no) exit=-?\d+"
    rb" a0=([0-9a-f]{1,16}) a1=([0-9a-f]{1,16}) a2=([0-9a-f]{1,16}) a3=[0-9a-f]+ items=\d+"
    rb" ppid=(\d{1,10}) pid=(\d{1,10}) auid=(\d{1,10}) uid=(\d{1,10}) gid=\d+ euid=(\d{1,10})"
    rb" suid=\d+ fsuid=\d+ egid=(\d{1,10}) sgid=\d+ fsgid=\d+ tty=[^ ]+ ses=\d+"
    rb" comm=" + _TEXT + rb" exe=" + _TEXT
)

_ACTIVITIES: Final[dict[str, Activity]] = {
    "init_module": "module_load", "finit_module": "module_load",
    "delete_module": "module_unload", "mount": "mount", "move_mount": "mount",
    "umount2": "umount", "ptrace": "ptrace", "capset": "capability_change",
    "setuid": "uid_change", "setreuid": "uid_change", "setresuid": "uid_change",
    "memfd_create": "memfd_create", "bpf": "bpf_load",
    "setgid": "uid_change", "setregid": "uid_change", "setresgid": "uid_change",
    "kill": "signal", "tgkill": "signal", "process_vm_readv": "memory_access",
    "process_vm_writev": "memory_access", "clock_settime": "time_set", "settimeofday": "time_set",
}  # fmt: skip
_EXECUTIONS: Final = ("execve", "execveat")
_DETAILED: Final = frozenset({"module_load", "module_unload", "capability_change"})
"""Activities whose target stands in a second record."""


class Syscall(NamedTuple):
    """What a SYSCALL record says, as far as we use it; `name` is "" for a call not of ours."""

    wall_s: float
    serial: int
    name: str
    is_success: bool
    a0: int
    a1: int
    a2: int
    ppid: int
    pid: int
    login_uid: int
    uid: int
    euid: int
    egid: int
    image: str


class _Pending(NamedTuple):
    """An event of which records are still expected."""

    call: Syscall
    arguments: Arguments


def record_type(datagram: bytes | bytearray | memoryview) -> int:
    """The type in the netlink header of a datagram of at least HEADER_BYTES."""
    return datagram[4] | datagram[5] << 8


def serial_of(text: bytes) -> int:
    """The event's serial in any record.

    Raises:
        ParseError: the record does not begin with its stamp.
    """
    found = _STAMP.match(text)
    if found is None:
        raise ParseError(f"audit record: expected audit(seconds.ms:serial):, got {text[:40]!r}")
    return int(found[3])


def parse_syscall(text: bytes) -> Syscall:
    """Read a SYSCALL record.

    Raises:
        ParseError: a field is missing, out of order or no number.
    """
    found = _SYSCALL.match(text)
    if found is None:
        raise ParseError(
            f"audit SYSCALL record: expected arch= to exe= in the kernel's order, "
            f"got {text[:80]!r}",
            _broken_at(text),
        )
    (stamp, serial, arch, number, success, a0, a1, a2, ppid, pid, auid, uid, euid, egid, _, exe) = (
        found.groups()
    )
    return Syscall(
        float(stamp),
        int(serial),
        NAMES.get((int(arch, 16), int(number)), ""),
        success == b"yes",
        int(a0, 16),
        int(a1, 16),
        int(a2, 16),
        int(ppid),
        int(pid),
        _known_id(auid),
        _known_id(uid),
        int(euid),
        int(egid),
        text_of(exe, found.start(16)),
    )


def text_of(value: bytes, offset: int = 0) -> str:
    """Decode a value that the kernel quoted or wrote in hex; (null) and (none) are "".

    Raises:
        ParseError: it is neither.
    """
    return value_bytes(value, offset).decode("utf-8", "surrogateescape")


class AuditJoin:
    """Joins the records of one stream; use one per socket.

    Args:
        tier: written into every event.
    """

    def __init__(self, tier: str) -> None:
        self._tier = tier
        self._offset_s = 0.0
        self._earliest_s = 0.0
        self._latest_s = 0.0
        self._pending: dict[int, _Pending] = {}
        self._pending_bytes = 0

    @property
    def pending(self) -> int:
        """How many events wait for more records."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of arguments they hold."""
        return self._pending_bytes

    def set_clock(self, offset_s: float, earliest_s: float, latest_s: float) -> None:
        """Say how wall time becomes time since boot for the records that follow.

        Args:
            offset_s: CLOCK_BOOTTIME - CLOCK_REALTIME.
            earliest_s: no record that follows is older (CLOCK_BOOTTIME).
            latest_s: now. A record outside the two was stamped before the wall clock was set, and
                counts as of now.
        """
        self._offset_s, self._earliest_s, self._latest_s = offset_s, earliest_s, latest_s

    def read(self, kind: int, text: bytes, out: list[Event]) -> int:
        """Take one record.

        Args:
            kind: the netlink type.
            text: the record without netlink header.
            out: gets what became whole.

        Returns:
            The record's serial.

        Raises:
            ParseError: the record has not its type's form; it is as if it had not come.
        """
        if kind == AUDIT_EXECVE:
            return self._read_execve(text, out)
        if kind == AUDIT_SYSCALL:
            return self._read_syscall(text, out)
        serial = serial_of(text)
        if kind in (AUDIT_KERN_MODULE, AUDIT_CAPSET):
            pending = self._pending.get(serial)
            if pending is not None and pending.call.name not in _EXECUTIONS:
                self._emit_activity(pending.call, _detail(kind, text), out)
        return serial

    def flush(self, out: list[Event], before_serial: int | None = None) -> None:
        """Emit what is pending as incomplete: all, or what began before a serial."""
        for serial in list(self._pending):
            if before_serial is None or serial < before_serial:
                self._emit(self._pending[serial], out)

    def _read_syscall(self, text: bytes, out: list[Event]) -> int:
        call = parse_syscall(text)
        name = call.name
        if not name or not call.is_success:
            return call.serial
        if name in _EXECUTIONS or _ACTIVITIES[name] in _DETAILED:
            self._remember(call, out)
        else:
            self._emit_activity(call, _target(call), out)
        return call.serial

    def _remember(self, call: Syscall, out: list[Event]) -> None:
        pending = self._pending.get(call.serial)
        if pending is not None:
            self._emit(pending, out)
        if len(self._pending) >= MAX_PENDING or self._pending_bytes > MAX_PENDING_BYTES:
            self._emit(next(iter(self._pending.values())), out)
        self._pending[call.serial] = _Pending(call, Arguments())

    def _read_execve(self, text: bytes, out: list[Event]) -> int:
        parts = text.split(b" ")
        serial = serial_of(parts[0])
        pending = self._pending.get(serial)
        if pending is None:
            return serial
        arguments = pending.arguments
        before = arguments.size
        try:
            arguments.add(parts[1:])
        finally:
            self._pending_bytes += arguments.size - before
        if arguments.is_whole:
            self._emit(pending, out)
        return serial

    def _emit(self, pending: _Pending, out: list[Event]) -> None:
        call = pending.call
        if call.name not in _EXECUTIONS:
            self._emit_activity(call, _target(call), out)
            return
        del self._pending[call.serial]
        arguments = pending.arguments
        self._pending_bytes -= arguments.size
        line = b" ".join(arguments.kept).decode("utf-8", "surrogateescape")
        argv0 = arguments.kept[0].decode("utf-8", "surrogateescape") if arguments.kept else ""
        told_apart = ""
        if line.count(" ") >= len(arguments.kept) > 0:  # an argument holds a space
            told_apart = b"\0".join(arguments.kept).decode("utf-8", "surrogateescape")
        at_s = self._moment(call.wall_s)
        event = ProcessStarted(
            at_s, self._tier, call.pid, call.ppid, 0, call.image, argv0, line,
            arguments.is_complete, call.uid, call.login_uid, "", "", 0, 0, told_apart,
        )  # fmt: skip
        out.append(event)

    def _moment(self, wall_s: float) -> float:
        at_s = wall_s + self._offset_s
        # Stamps are cut to milliseconds.
        if self._earliest_s - 0.002 <= at_s <= self._latest_s:
            return at_s
        return self._latest_s

    def _emit_activity(self, call: Syscall, target: str, out: list[Event]) -> None:
        self._pending.pop(call.serial, None)
        activity = _ACTIVITIES[call.name]
        at_s = self._moment(call.wall_s)
        out.append(
            KernelActivity(at_s, self._tier, activity, call.pid, call.uid, call.image, target)
        )


def _known_id(value: bytes) -> int:
    number = int(value)
    return -1 if number == _UNSET_ID else number


def _detail(kind: int, text: bytes) -> str:
    word = b"name=" if kind == AUDIT_KERN_MODULE else b"cap_pe="
    for part in text.split(b" "):
        if part.startswith(word):
            value = part[len(word) :]
            return text_of(value) if kind == AUDIT_KERN_MODULE else value.decode("ascii", "replace")
    return ""


def _target(call: Syscall) -> str:
    """What the arguments of the call itself say about its object."""
    match call.name:
        case "ptrace":
            return str(call.a1)
        case "kill":
            return f"{call.a0} {call.a1}"
        case "tgkill":
            return f"{call.a0} {call.a2}"
        case "process_vm_readv" | "process_vm_writev":
            return str(call.a0)
        case "setuid" | "setreuid" | "setresuid":
            return str(call.euid)
        case "setgid" | "setregid" | "setresgid":
            return f"gid {call.egid}"
        case _:
            return ""


def _broken_at(text: bytes) -> int:
    found = _STAMP.match(text)
    return found.end() if found else 0
