"""Records of our eBPF programs, as sensors/_ebpf/record.h lays them out.

Rule 1: any bytes give events or a ParseError: a kernel whose structures were read wrongly must not
break the reader.
Rule 2: this is the hot path: one unpack for a record, and paths that come again are not made again.
Rule 3: a path comes as its names from the last to the first, each ended by a zero byte; one that
was too long for the record begins with "...".
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, NoReturn, get_args

from vedette.codec.addresses import address_text
from vedette.codec.procfs import parse_arguments, parse_cmdline
from vedette.errors import ParseError
from vedette.model.event import (
    Activity,
    ConnectionOpened,
    Event,
    KernelActivity,
    ListenerOpened,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
    Protocol,
)

MAX_ARGUMENTS_BYTES: Final = 8192
"""Of one execution (ARGUMENTS_BYTES in process.h); rules look at the first kilobytes."""

KIND_EXEC: Final = 1
KIND_FORK: Final = 2
KIND_EXIT: Final = 3
KIND_CONNECTION: Final = 4
KIND_LISTENER: Final = 5
KIND_ACTIVITY: Final = 6

ARGUMENTS_CUT: Final = 1
ARGUMENTS_UNREADABLE: Final = 2
IMAGE_CUT: Final = 4
FOLDER_CUT: Final = 8
HAS_ENDED: Final = 16
IS_INITIATED: Final = 32

ACTIVITIES: Final[tuple[Activity, ...]] = get_args(Activity)
"""Their places are the numbers in the record, from 1."""

HEAD: Final = Struct("<QHHI")
EXEC: Final = Struct("<QHHIQQqQIIII4H")
FORK: Final = Struct("<QHHIQII")
SOCKET: Final = Struct("<QHHIIHHHHI16s16s")
ACTIVITY: Final = Struct("<QHHIIHHQ")

_AF_INET: Final = 2
_AF_INET6: Final = 10
_PROTOCOLS: Final[dict[int, Protocol]] = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp", 262: "tcp"}
"""IANA numbers; 262 is the kernel's for MPTCP."""
_UNSET_ID: Final = 0xFFFFFFFF
_NOWHERE: Final = bytes(16)
_CUT_PREFIX: Final = b"..."
_MAX_PATHS: Final = 512
_LONGEST_KEPT: Final = 256
_NS_PER_S: Final = 1_000_000_000
_TARGET_IN_TEXT: Final = frozenset(
    {"module_load", "module_unload", "mount", "umount", "bpf_load", "memfd_create"}
)


class RecordReader:
    """Turns records into events; keeps the texts of paths.

    Args:
        tier: the name of the source.
        ticks_per_s: clock ticks of proc(5) field 22.
        cgroup_of: the path of a cgroup by its number, "" where unknown.
        variables: names of the environment variables that events carry.
    """

    def __init__(
        self,
        tier: str,
        ticks_per_s: int,
        cgroup_of: Callable[[int], str] = lambda _: "",
        variables: frozenset[bytes] = frozenset(),
    ) -> None:
        self._tier = tier
        self._ns_per_tick = _NS_PER_S // ticks_per_s
        self._cgroup_of = cgroup_of
        self._variables = variables
        self._paths: dict[bytes, str] = {}
        self._readers = {
            KIND_EXEC: self._exec,
            KIND_FORK: self._fork,
            KIND_EXIT: self._exit,
            KIND_CONNECTION: self._connection,
            KIND_LISTENER: self._listener,
            KIND_ACTIVITY: self._activity,
        }

    def read(self, data: bytes, out: list[Event]) -> None:
        """Take one record; its events are added to `out`.

        Raises:
            ParseError: it is cut, or says what no kernel says.
        """
        if len(data) < HEAD.size:
            _refuse(f"at least {HEAD.size} bytes", len(data), len(data))
        reader = self._readers.get(data[8] | data[9] << 8)
        if reader is None:
            _refuse("a known kind", data[8] | data[9] << 8, 8)
        reader(data, out)

    def _exec(self, data: bytes, out: list[Event]) -> None:
        if len(data) < EXEC.size:
            _refuse(f"an execution of at least {EXEC.size} bytes", len(data), len(data))
        (
            at_ns, _, flags, pid, start_ns, inode, modified_s, cgroup, device, ppid, uid, login_uid,
            image_bytes, folder_bytes, arguments_bytes, environment_bytes,
        ) = EXEC.unpack_from(data)  # fmt: skip
        folder_at = EXEC.size + image_bytes
        arguments_at = folder_at + folder_bytes
        environment_at = arguments_at + arguments_bytes
        if len(data) != environment_at + environment_bytes:
            _refuse(f"{environment_at + environment_bytes} bytes", len(data), EXEC.size - 8)
        raw = data[arguments_at:environment_at]
        argv0, command_line = parse_cmdline(raw)
        image = self._path(data[EXEC.size : folder_at], flags & IMAGE_CUT) if image_bytes else ""
        out.append(
            ProcessStarted(
                at_ns / _NS_PER_S,
                self._tier,
                pid,
                ppid,
                start_ns // self._ns_per_tick,
                image,
                argv0,
                command_line,
                not flags & (ARGUMENTS_CUT | ARGUMENTS_UNREADABLE),
                -1 if uid == _UNSET_ID else uid,
                -1 if login_uid == _UNSET_ID else login_uid,
                self._path(data[folder_at:arguments_at], flags & FOLDER_CUT),
                self._cgroup_of(cgroup),
                _device_number(device),
                inode,
                parse_arguments(raw) if b" " in raw else "",
                modified_s,
                self._environment(data[environment_at:]) if environment_bytes else "",
            )
        )

    def _fork(self, data: bytes, out: list[Event]) -> None:
        if len(data) != FORK.size:
            _refuse(f"a fork of {FORK.size} bytes", len(data), len(data))
        at_ns, _, flags, pid, start_ns, ppid, _ = FORK.unpack(data)
        at_s, start_ticks = at_ns / _NS_PER_S, start_ns // self._ns_per_tick
        out.append(ProcessForked(at_s, self._tier, pid, ppid, start_ticks))
        if flags & HAS_ENDED:
            out.append(ProcessExited(at_s, self._tier, pid))

    def _exit(self, data: bytes, out: list[Event]) -> None:
        if len(data) != HEAD.size:
            _refuse(f"an exit of {HEAD.size} bytes", len(data), len(data))
        at_ns, _, _, pid = HEAD.unpack(data)
        out.append(ProcessExited(at_ns / _NS_PER_S, self._tier, pid))

    def _connection(self, data: bytes, out: list[Event]) -> None:
        at_ns, _, flags, pid, uid, protocol, family, port, remote_port, _, local, remote = _socket(
            data
        )
        here, there = (_address(local, family), port), (_address(remote, family), remote_port)
        is_initiated = bool(flags & IS_INITIATED)
        source, destination = (here, there) if is_initiated else (there, here)
        out.append(
            ConnectionOpened(
                at_ns / _NS_PER_S,
                self._tier,
                _PROTOCOLS.get(protocol, "other"),
                is_initiated,
                *source,
                *destination,
                pid,
                -1 if uid == _UNSET_ID else uid,
                is_established=not is_initiated,  # network.h, rule 1
            )
        )

    def _listener(self, data: bytes, out: list[Event]) -> None:
        at_ns, _, _, pid, uid, protocol, family, port, _, _, local, _ = _socket(data)
        address = address_text(local if family == _AF_INET6 else local[:4])
        name = _PROTOCOLS.get(protocol, "other")
        uid = -1 if uid == _UNSET_ID else uid
        out.append(ListenerOpened(at_ns / _NS_PER_S, self._tier, name, address, port, pid, uid))

    def _activity(self, data: bytes, out: list[Event]) -> None:
        if len(data) < ACTIVITY.size:
            _refuse(f"an activity of at least {ACTIVITY.size} bytes", len(data), len(data))
        at_ns, _, _, pid, uid, number, text_bytes, value = ACTIVITY.unpack_from(data)
        if not 0 < number <= len(ACTIVITIES):
            _refuse("a known activity", number, ACTIVITY.size - 12)
        if ACTIVITY.size + text_bytes > len(data):
            _refuse(f"at least {ACTIVITY.size + text_bytes} bytes", len(data), ACTIVITY.size - 10)
        activity = ACTIVITIES[number - 1]
        text = data[ACTIVITY.size : ACTIVITY.size + text_bytes]
        uid = -1 if uid == _UNSET_ID else uid
        target = _target(activity, value, text)
        out.append(KernelActivity(at_ns / _NS_PER_S, self._tier, activity, pid, uid, "", target))

    def _path(self, names: bytes, is_cut: int) -> str:
        if not is_cut:
            known = self._paths.get(names)
            if known is not None:
                return known
        parts = names.removesuffix(b"\0").split(b"\0")
        parts.append(_CUT_PREFIX if is_cut else b"")
        path = b"/".join(reversed(parts)).decode("utf-8", "surrogateescape")
        if len(names) <= _LONGEST_KEPT and not is_cut:
            if len(self._paths) >= _MAX_PATHS:
                self._paths.clear()
            self._paths[names] = path
        return path

    def _environment(self, data: bytes) -> str:
        wanted = self._variables
        found = [line for line in data.split(b"\0") if line.partition(b"=")[0] in wanted]
        return b"\n".join(found).decode("utf-8", "surrogateescape")


def _socket(data: bytes) -> tuple[int, int, int, int, int, int, int, int, int, int, bytes, bytes]:
    if len(data) != SOCKET.size:
        _refuse(f"a socket of {SOCKET.size} bytes", len(data), len(data))
    found: tuple[int, int, int, int, int, int, int, int, int, int, bytes, bytes]
    found = SOCKET.unpack(data)
    if found[6] not in {_AF_INET, _AF_INET6}:
        _refuse("family 2 or 10", found[6], HEAD.size + 6)
    return found


def _address(raw: bytes, family: int) -> str:
    """The text of an address, "" for the one that is not known."""
    if raw == _NOWHERE:
        return ""
    return address_text(raw if family == _AF_INET6 else raw[:4])


def _target(activity: Activity, value: int, text: bytes) -> str:
    """What the activity was about, in the words that the audit tier uses."""
    if activity in _TARGET_IN_TEXT:
        return text.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    if activity == "capability_change":
        return f"{value:016x}"
    if activity == "signal":
        return f"{value & 0xFFFFFFFF} {value >> 32}"
    if activity == "time_set":
        return ""
    if activity == "uid_change" and text.startswith(b"gid"):
        return f"gid {value}"
    return str(value)


def _device_number(device: int) -> int:
    """The kernel's dev_t (12 bits major, 20 minor) as stat(2) gives it (new_encode_dev)."""
    major, minor = device >> 20, device & 0xFFFFF
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def _refuse(expected: str, got: int, offset: int) -> NoReturn:
    raise ParseError(f"eBPF record: expected {expected}, got {got}", offset)
