"""Every execution's pid from the process events connector, its arguments where /proc has them yet.

Rule 1: a pid is never lost while we read in time; a short program's arguments often are. An event
whose arguments could not be read says so (`is_complete` False) and is counted.
Rule 2: there is no pacing: each moment between event and read costs arguments.
Rule 3: what the kernel dropped is counted exactly where it says so (SO_MEMINFO), else from gaps in
the sequence numbers, which mean nothing once the in-kernel filter is on.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from typing import ClassVar, Final

from vedette.codec import connector as codec
from vedette.codec.procfs import parse_arguments, parse_cmdline, parse_stat
from vedette.codec.serial_gaps import SerialGaps
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, ProcessStarted
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _proc_reader
from vedette.sensors._child import Child
from vedette.sensors._proof_program import harmless_program

NAME: Final = "proc_connector"
BATCH_EVENTS: Final = 128
READER_START_TIMEOUT_S: Final = 5.0
_TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")
_FILTER_SINCE: Final = (6, 6)
"""The kernel that learned to filter for one listener (struct proc_input)."""


class ProcConnectorSensor(Sensor):
    """Every execution, best effort: all pids, arguments of those that live long enough."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"net_admin", "sys_ptrace", "sys_nice"})
    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            EventClass.PROCESS,
            NAME,
            60,
            "every execution's pid; command line, user and parent while the process lives "
            "(best effort)",
            (
                "the command line of programs that end within a millisecond: 1 to 73 % are read",
                "the login user and the working directory",
            ),
            (
                "kernel option CONFIG_PROC_EVENTS",
                "CAP_NET_ADMIN in the first network namespace",
            ),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._socket: socket.socket | None = None
        self._reader: Child | None = None
        self._gaps: dict[int, SerialGaps] | None = None
        self._buffer = bytearray(_proc_reader.MAX_RECORD_BYTES)
        self._dropped = 0
        self._proof_pid = 0
        self._counts = {"in": 0, "out": 0, "dropped": 0, "without_arguments": 0, "unreadable": 0}

    def counters(self) -> Mapping[str, int]:
        """Events in, out and dropped; out without arguments; unreadable."""
        return dict(self._counts)

    async def _open(self) -> None:
        has_filter = _kernel_version() >= _FILTER_SINCE
        # An older kernel ignores the second request, a newer one narrows the first by it.
        requests = [codec.listen(os.getpid(), kinds) for kinds in (None, codec.PROC_EVENT_EXEC)]
        try:
            if self.context.options.get("realtime"):
                self._socket = self._start_reader(requests)
                await _ready(self._socket)
            else:
                self._gaps = None if has_filter else {}
                self._socket = _proc_reader.open_connector()
                for request in requests:
                    self._socket.send(request)
        except OSError as error:
            raise SensorError(f"proc connector: {_REASONS.get(error.errno or 0, error)}") from error
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def _start_reader(self, requests: list[bytes]) -> socket.socket:
        """Start the reader as a program of its own, at real-time priority."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.setsockopt(socket.SOL_SOCKET, _proc_reader.SO_RCVBUFFORCE, 4 << 20)
            program = _proc_reader.__file__
            self._reader = Child([sys.executable, "-I", "-S", program], theirs.fileno())
            for request in requests:
                ours.send(request)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    async def _provoke(self, token: str) -> None:
        child = Child(harmless_program(token))
        self._proof_pid = child.pid
        try:
            await child.wait()
        finally:
            await child.end()

    def _is_proof(self, event: Event, token: str) -> bool:
        # By pid: the arguments may be gone before we read them, the pid never is.
        del token
        return isinstance(event, ProcessStarted) and event.pid == self._proof_pid

    async def _close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._reader is not None:
            await self._reader.end()

    def _readable(self) -> None:
        if self._socket is None:
            return
        out: list[Event] = []
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        offset_s = boot_s - time.monotonic()
        for _ in range(BATCH_EVENTS):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._overrun(self._socket, out, boot_s)
                continue
            if not size:
                self._reader_ended(out, boot_s)
                break
            self._read(bytes(self._buffer[:size]), out, boot_s, offset_s)
        if out:
            self._counts["out"] += len(out)
            self.emit(out)

    def _read(self, data: bytes, out: list[Event], now_s: float, offset_s: float) -> None:
        """Take one datagram: an event, or a record of the reader."""
        try:
            if self._reader is not None:
                lost, raw, uid, stat, image, arguments = _proc_reader.unpack(data)
                event = codec.parse_event(raw)
                self._lose(out, now_s, lost, "the real-time reader's queue was full")
            else:
                event = codec.parse_event(data)
                self._note_sequence(event, out, now_s)
                if event.kind != codec.PROC_EVENT_EXEC:
                    return
                uid, stat, image, arguments = _proc_reader.gather(event.tgid)
        except (ParseError, ValueError) as error:
            self._counts["unreadable"] += 1
            self._lose(out, now_s, 1, str(error))
            return
        self._counts["in"] += 1
        out.append(self._started(event, uid, stat, image, arguments, offset_s))

    def _started(
        self,
        event: codec.ProcEvent,
        uid: int,
        stat: bytes,
        image: bytes,
        arguments: bytes,
        offset_s: float,
    ) -> ProcessStarted:
        at_s = event.at_ns / 1e9 + offset_s
        try:
            parsed = parse_stat(stat)
            ppid, start_ticks = parsed.ppid, parsed.start_ticks
        except ParseError:
            ppid = start_ticks = 0  # it ended before we could look
        if start_ticks * _TICK_S > at_s + _TICK_S:
            # It ended, and another process has its pid by now.
            uid, image, arguments, ppid, start_ticks = -1, b"", b"", 0, 0
        argv0, line = parse_cmdline(arguments[: _proc_reader.MAX_ARGUMENTS_BYTES])
        if not arguments:
            self._counts["without_arguments"] += 1
        return ProcessStarted(
            at_s=at_s,
            tier=NAME,
            pid=event.tgid,
            ppid=ppid,
            start_ticks=start_ticks,
            image=os.fsdecode(image),
            argv0=argv0,
            command_line=line,
            is_complete=0 < len(arguments) <= _proc_reader.MAX_ARGUMENTS_BYTES,
            uid=uid,
            login_uid=-1,
            cwd="",
            cgroup="",
            device=0,
            inode=0,
            arguments=parse_arguments(arguments[: _proc_reader.MAX_ARGUMENTS_BYTES]),
        )

    def _note_sequence(self, event: codec.ProcEvent, out: list[Event], now_s: float) -> None:
        if self._gaps is None or not event.kind:
            return
        gaps = self._gaps.setdefault(event.cpu, SerialGaps())
        gaps.note(event.sequence, now_s)
        if gaps.missing:
            # One processor's events never overtake each other: a gap is a loss.
            self._lose(out, now_s, gaps.take_lost(float("inf")), "gap in the sequence numbers")

    def _overrun(self, connector: socket.socket, out: list[Event], now_s: float) -> None:
        total = _proc_reader.dropped(connector)
        lost = (total - self._dropped) & 0xFFFFFFFF
        self._dropped = total
        if self._gaps is None:
            self._lose(out, now_s, lost, "the socket buffer was full")

    def _reader_ended(self, out: list[Event], now_s: float) -> None:
        """Say that nothing is seen any more; the next proof fails and the tier is replaced."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
        reason = "the real-time reader ended (RLIMIT_RTTIME, or killed)"
        out.append(EventsLost(now_s, NAME, EventClass.PROCESS, "sensor", 0, False, reason))

    def _lose(self, out: list[Event], now_s: float, lost: int, reason: str) -> None:
        if lost:
            self._counts["dropped"] += lost
            out.append(EventsLost(now_s, NAME, EventClass.PROCESS, "kernel", lost, True, reason))


_REASONS: Final[Mapping[int, str]] = {
    errno.EPERM: "not allowed; it needs CAP_NET_ADMIN",
    errno.ECONNREFUSED: "the kernel does not answer; it needs the first network namespace",
    errno.EPROTONOSUPPORT: "the kernel has none; it needs CONFIG_CONNECTOR and CONFIG_PROC_EVENTS",
}


async def _ready(reader: socket.socket) -> None:
    """Return once the reader listens.

    Raises:
        SensorError: it ended, or took too long.
    """
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(READER_START_TIMEOUT_S):
            said = await loop.sock_recv(reader, len(_proc_reader.READY))
    except TimeoutError:
        said = b"nothing"
    if said != _proc_reader.READY:
        raise SensorError(
            f"proc connector: expected the real-time reader to listen, got {said!r}; "
            "it needs CAP_NET_ADMIN and CAP_SYS_NICE, or set realtime = false"
        )


def _kernel_version() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


sensor_class = ProcConnectorSensor
