"""Audit records (text) become events: several records of one serial are joined.

Rule 1: a record's netlink length does not count its header (kernel/audit.c, audit_log_end), so the
datagram's own length is used.
Rule 2: what is pending is bounded in number and in bytes; what must go early is emitted as
incomplete, never dropped.
Rule 3: the end-of-event record is not needed: an execution is whole with its last argument, and
the tail of an event that was cut off is emitted by `flush`.
Rule 4: text that the kernel could not quote is in hex; a quoted text holds neither blank nor quote
(kernel/audit.c, audit_log_untrustedstring), so a record may be split at blanks.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

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

MAX_COMMAND_LINE_BYTES: Final = 64 * 1024
"""Ours: what is kept of one argv; ARG_MAX allows 2 MB, and rules look at the first kilobytes."""
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
_PIECE = re.compile(rb"a(\d{1,7})(?:_(len)|\[(\d{1,7})\])?")

_ACTIVITIES: Final[dict[str, Activity]] = {
    "init_module": "module_load", "finit_module": "module_load",
    "delete_module": "module_unload", "mount": "mount", "move_mount": "mount",
    "umount2": "umount", "ptrace": "ptrace", "capset": "capability_change",
    "setuid": "uid_change", "setreuid": "uid_change", "setresuid": "uid_change",
    "setgid": "uid_change", "setregid": "uid_change", "setresgid": "uid_change",
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


class _Pending:
    """An event of which records are still expected."""

    __slots__ = ("arguments", "call", "count", "expected", "open_left", "size")

    def __init__(self, call: Syscall) -> None:
        self.call = call
        self.arguments: list[bytes] = []  # those that fit into MAX_COMMAND_LINE_BYTES
        self.count = 0
        self.expected = -1
        self.open_left = 0  # encoded bytes that the last argument still lacks
        self.size = 0


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
    return _raw(value, offset).decode("utf-8", "surrogateescape")


def _raw(value: bytes, offset: int = 0) -> bytes:
    if value[:1] == b'"':
        if len(value) < 2 or value[-1:] != b'"':  # noqa: PLR2004 - two quotes
            raise ParseError(f"audit value: expected a closing quote, got {value[:40]!r}", offset)
        return value[1:-1]
    if value[:1] == b"(":
        return b""
    try:
        # Text, not bytes: fromhex takes a str until Python 3.14.
        return bytes.fromhex(value.decode("ascii"))
    except ValueError as error:
        raise ParseError(
            f"audit value: expected quotes or an even number of hex digits, got {value[:40]!r}",
            offset,
        ) from error


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
            if pending is not None:
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
        self._pending[call.serial] = _Pending(call)

    def _read_execve(self, text: bytes, out: list[Event]) -> int:
        parts = text.split(b" ")
        serial = serial_of(parts[0])
        pending = self._pending.get(serial)
        if pending is None:
            return serial
        before = pending.size
        try:
            _collect(pending, parts)
        finally:
            self._pending_bytes += pending.size - before
        if _is_whole(pending):
            self._emit(pending, out)
        return serial

    def _emit(self, pending: _Pending, out: list[Event]) -> None:
        call = pending.call
        if call.name not in _EXECUTIONS:
            self._emit_activity(call, _target(call), out)
            return
        del self._pending[call.serial]
        self._pending_bytes -= pending.size
        arguments = pending.arguments
        line = b" ".join(arguments).decode("utf-8", "surrogateescape")
        argv0 = arguments[0].decode("utf-8", "surrogateescape") if arguments else ""
        is_complete = _is_whole(pending) and pending.size <= MAX_COMMAND_LINE_BYTES
        at_s = self._moment(call.wall_s)
        event = ProcessStarted(
            at_s, self._tier, call.pid, call.ppid, 0, call.image, argv0, line, is_complete,
            call.uid, call.login_uid, "", "", 0, 0,
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


def _is_whole(pending: _Pending) -> bool:
    return pending.count == pending.expected and not pending.open_left


def _collect(pending: _Pending, parts: list[bytes]) -> None:
    """Add the arguments of one record."""
    for part in parts[1:]:
        name, _, value = part.partition(b"=")
        if name[1:].isdigit():
            _begin(pending, int(name[1:]), part)
            _extend(pending, _raw(value))
        elif name == b"argc":
            pending.expected = _number(value, part)
        elif name:
            _add_piece(pending, name, value)


def _add_piece(pending: _Pending, name: bytes, value: bytes) -> None:
    """Add `aN_len=` or `aN[K]=`, the forms of an argument longer than a record."""
    found = _PIECE.fullmatch(name)
    if found is None:
        raise ParseError(f"audit EXECVE record: expected a<number>, got {name[:40]!r}")
    index = int(found[1])
    if found[2]:
        _begin(pending, index, name)
        pending.open_left = _number(value, name)
        return
    if index != pending.count - 1:
        raise ParseError(
            f"audit EXECVE record: expected a piece of a{pending.count - 1}, got {name[:40]!r}"
        )
    _extend(pending, _raw(value))
    pending.open_left = max(0, pending.open_left - len(value.strip(b'"')))


def _begin(pending: _Pending, index: int, part: bytes) -> None:
    """Begin the next argument."""
    if index != pending.count or index >= pending.expected:
        raise ParseError(
            f"audit EXECVE record: expected a{pending.count} of {pending.expected} arguments, "
            f"got {part[:40]!r}"
        )
    if pending.size <= MAX_COMMAND_LINE_BYTES:
        pending.arguments.append(b"")
        pending.size += 1
    pending.count += 1


def _extend(pending: _Pending, value: bytes) -> None:
    """Add to the newest argument as much as fits; a size above the limit means that it was cut."""
    if pending.size <= MAX_COMMAND_LINE_BYTES:
        pending.arguments[-1] += value[: MAX_COMMAND_LINE_BYTES - pending.size]
        pending.size += len(value)


def _number(value: bytes, part: bytes) -> int:
    if not value.isdigit() or len(value) > 10:  # noqa: PLR2004 - 32 bits in decimal
        raise ParseError(f"audit EXECVE record: expected a number, got {part[:40]!r}")
    return int(value)


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
        case "setuid" | "setreuid" | "setresuid":
            return str(call.euid)
        case "setgid" | "setregid" | "setresgid":
            return f"gid {call.egid}"
        case _:
            return ""


def _broken_at(text: bytes) -> int:
    found = _STAMP.match(text)
    return found.end() if found else 0
