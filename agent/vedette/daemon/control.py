"""The control socket: how the command line on this device asks the sentinel.

One request for each connection, one JSON object for each line (UTF-8, RFC 8259):

    -> {"do": "incidents.list", "with": {"limit": 20}}
    <- {"ok": {...}}            the answer, or
    <- {"error": "..."}         why not and what to do, or for a stream any number of
    <- {"item": {...}}          until one side closes.

do | with | ok (or item)
-- | ---- | --------------
status | | {version, device, tenant, pid, uptime_s, memory: {rss_kb, pss_kb},
       |   tiers: [TIER], ledger: [{stage, class, in, out, dropped, losses}],
       |   journal: {epoch, size, pending, bytes_used, bytes_limit, dropped, degraded, reason},
       |   uplink: {state: "off"|"up"|"down", reason, delivered, newest},
       |   rules: {bundle, counter, rules, expires_s, reason}, profile, learning, incidents_open}
doctor | | {tiers: [TIER], profile, learning, guard: {lacks: [text]}}
check | | {changed: [{class, tier, previous, reason}], and as doctor}: every source proved itself
      |   just now, and what did not work was tried again; takes seconds, up to a minute
drill.* | its own | as daemon/drill_answers.py says
incidents.list | {limit: 1..1000} | {incidents: [DOCUMENT]}, newest report of each, newest first
incidents.show | {id} | {reports: [DOCUMENT]}, all reports of one incident, oldest first
incidents.follow | | a stream of {incident: DOCUMENT} and {missed: n} (the reader was too slow)
reload | | {changed: [text]}
baseline.* | its own | as `vedette baseline` needs it
responses.* | its own | as daemon/response_answers.py says; so is `defence` in status and doctor
update.* | its own | as daemon/update_answers.py says
learn.*, profile.* | their own | as daemon/profile_answers.py says; so are profile and learning

TIER is {class, tier, sees, misses: [text], failures: [{tier, reason, lift: [text]}]}, with tier ""
when nothing watches the class; DOCUMENT is the OCSF 2004 document as it was journalled.

Rule 1: only root and the agent's own user are served (unix(7), SO_PEERCRED); the socket is 0600.
Rule 2: a client costs bounded memory and time, whatever it sends or does not read.
Rule 3: what a client did wrong is answered; only a broken invariant of ours gets out of `serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.codec.text import escape, quoted
from vedette.errors import DeviceError, ParseError, RequestError, VedetteError

MAX_REQUEST_BYTES = 64 * 1024
MAX_REPLY_BYTES = 4 * 1024 * 1024
REQUEST_TIMEOUT_S = 5.0
"""The request must be whole by then: commands send theirs at once."""
WRITE_TIMEOUT_S = 10.0
"""For each line; `vedette incidents follow | less` stops reading, and is let go."""

ACCEPT_PAUSE_S = 1.0
LINGER_S = 1.0
BACKLOG = 16
_UCRED = struct.Struct("=iII")
"""struct ucred: pid, uid, gid."""

Params = Mapping[str, Json]
Answer = Mapping[str, Json]
Handler = Callable[[Params], Awaitable[Answer]]
Stream = Callable[[Params], AsyncGenerator[Answer, None]]


class Request(NamedTuple):
    """A parsed request line."""

    do: str
    params: Params


class _HungUpError(Exception):
    """The client closed its end."""


class ControlServer:
    """Serves the control socket.

    Args:
        path: of the socket, in a folder that only the agent writes to.
        handlers: answers by the name of the request.
        streams: answers without end by the name of the request.
        max_clients: further ones are told to come back.

    Attributes:
        refused: connections turned away for their uid or their number.
    """

    def __init__(
        self,
        path: Path,
        *,
        handlers: Mapping[str, Handler],
        streams: Mapping[str, Stream],
        max_clients: int,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._streams = streams
        self._max_clients = max_clients
        self._listening: socket.socket | None = None
        self._retired: socket.socket | None = None
        self._accepting: asyncio.Task[socket.socket | None] | None = None
        self._clients = 0
        self.refused = 0

    def open(self) -> None:
        """Make the socket; clients wait in its queue until `serve` runs.

        Raises:
            DeviceError: the folder is missing, or another sentinel serves there.
        """
        try:
            _remove_stale(self._path)
            self._listening = _listen(self._path)
        except OSError as error:
            raise DeviceError(
                f"{self._path}: cannot listen ({error.strerror or error}); the folder must exist "
                "and be ours: start the agent with `vedette run`, which makes it"
            ) from error

    def reopen(self) -> None:
        """Make the socket anew where somebody took its name away; `serve` goes on with it.

        Raises:
            DeviceError: the folder is missing, or something else lies in its place.
        """
        before = self._listening
        self.open()
        self._retired = before
        if self._accepting is not None:
            self._accepting.cancel()

    async def serve(self) -> None:
        """Answer clients until cancelled."""
        async with asyncio.TaskGroup() as clients:
            while True:
                if self._listening is None:
                    raise RuntimeError("expected open() before serve()")
                self._accepting = clients.create_task(self._accept(self._listening))
                await asyncio.wait([self._accepting])
                if self._accepting.cancelled():
                    self._retire()
                elif connection := self._accepting.result():
                    clients.create_task(self._client(connection))

    async def _accept(self, listening: socket.socket) -> socket.socket | None:
        try:
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        except OSError:
            # No descriptor or memory left (accept(2)): watching goes on, commands wait.
            self.refused += 1
            await asyncio.sleep(ACCEPT_PAUSE_S)
            return None
        connection.setblocking(False)
        return connection

    def close(self) -> None:
        """Take the socket away. Safe to call twice."""
        self._retire()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._path.unlink(missing_ok=True)

    def _retire(self) -> None:
        """Close the socket that was replaced, when nothing waits at it any more."""
        if self._retired is not None:
            self._retired.close()
            self._retired = None

    async def _client(self, connection: socket.socket) -> None:
        self._clients += 1
        try:
            with connection:
                await self._dialogue(connection)
        except OSError:
            # It went away, or does not read in time (TimeoutError): nobody is left to be told.
            return
        finally:
            self._clients -= 1

    async def _dialogue(self, connection: socket.socket) -> None:
        try:
            self._admit(connection)
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await _read_line(connection)
            request = parse_request(line)
            await self._answer(connection, request)
        except VedetteError as error:
            await _turn_away(connection, str(error))

    def _admit(self, connection: socket.socket) -> None:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
        if uid not in {0, os.geteuid()}:
            self.refused += 1
            raise RequestError(f"expected root or uid {os.geteuid()}, got uid {uid}; use sudo")
        if self._clients > self._max_clients:
            self.refused += 1
            raise RequestError(
                f"{self._max_clients} commands are being served already; end one of them "
                "(`vedette incidents follow`?) or raise [control] max_clients"
            )

    async def _answer(self, connection: socket.socket, request: Request) -> None:
        handler = self._handlers.get(request.do)
        if handler is not None:
            await _write(connection, {"ok": dict(await handler(request.params))})
            return
        stream = self._streams.get(request.do)
        if stream is None:
            there_are = ", ".join(sorted({*self._handlers, *self._streams}))
            raise RequestError(f"unknown request {quoted(request.do)}; there are: {there_are}")
        await _serve_stream(connection, stream(request.params))


def parse_request(line: bytes) -> Request:
    """Read one request line.

    Raises:
        ParseError: it is no object with "do" and, at will, "with".
    """
    value = strict_json.parse(line, max_bytes=MAX_REQUEST_BYTES)
    if not isinstance(value, dict) or not value.keys() <= {"do", "with"}:
        raise ParseError('expected an object with "do" and "with"')
    do, params = value.get("do"), value.get("with", {})
    if not isinstance(do, str) or not isinstance(params, dict):
        raise ParseError('expected text as "do" and an object as "with"')
    return Request(do, params)


def number(params: Params, name: str, *, default: int, low: int, high: int) -> int:
    """A whole number among the parameters of a request.

    Raises:
        RequestError: it is none, or out of range (both bounds included).
    """
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"{name}: expected a whole number from {low} to {high}")
    return value


def text(params: Params, name: str, *, most: int = 4096) -> str:
    """A text among the parameters of a request, from 1 to `most` characters.

    Raises:
        RequestError: it is missing, empty or longer.
    """
    value = params.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise RequestError(f"{name}: expected a text of 1 to {most} characters")
    return value


def encode(reply: Mapping[str, Json]) -> bytes:
    """One line of the protocol; what cannot be UTF-8 is escaped as people read it."""
    try:
        line = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        whole = _escaped(dict(reply))
        line = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
    if len(line) >= MAX_REPLY_BYTES:
        return encode({"error": f"the answer has {len(line)} bytes: ask for less (--limit)"})
    return line + b"\n"


def _escaped(value: Json) -> Json:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {escape(name): _escaped(item) for name, item in value.items()}
    return value


async def _read_line(connection: socket.socket) -> bytes:
    """The bytes before the first line feed; what follows it is not looked at."""
    loop = asyncio.get_running_loop()
    line = bytearray()
    while b"\n" not in line:
        data = await loop.sock_recv(connection, 4096)
        if not data:
            raise ParseError("expected a line that ends with a line feed", len(line))
        line += data
        if len(line) > MAX_REQUEST_BYTES:
            raise ParseError(f"expected at most {MAX_REQUEST_BYTES} bytes in a line", len(line))
    return bytes(line.partition(b"\n")[0])


async def _write(connection: socket.socket, reply: Mapping[str, Json]) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await asyncio.get_running_loop().sock_sendall(connection, encode(reply))


async def _turn_away(connection: socket.socket, reason: str) -> None:
    """Say why, and take what the client still sends: closing over it would lose the reason."""
    await _write(connection, {"error": reason})
    connection.shutdown(socket.SHUT_WR)
    left = MAX_REQUEST_BYTES
    async with asyncio.timeout(LINGER_S):
        while left > 0:
            data = await asyncio.get_running_loop().sock_recv(connection, 4096)
            if not data:
                return
            left -= len(data)


async def _serve_stream(connection: socket.socket, items: AsyncGenerator[Answer, None]) -> None:
    """Write items until the client hangs up.

    Raises:
        VedetteError: the stream refuses; the client is still there to be told.
    """
    refusals: list[BaseException] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_await_hang_up(connection))
            group.create_task(_pour(connection, items))
    except* _HungUpError:
        pass  # the usual end of a stream
    except* VedetteError as refused:
        refusals += refused.exceptions
    if refusals:
        raise refusals[0]


async def _pour(connection: socket.socket, items: AsyncGenerator[Answer, None]) -> None:
    async with contextlib.aclosing(items):
        async for item in items:
            try:
                await _write(connection, {"item": dict(item)})
            except OSError as error:
                raise _HungUpError from error
    raise _HungUpError


async def _await_hang_up(connection: socket.socket) -> None:
    try:
        while await asyncio.get_running_loop().sock_recv(connection, 4096):
            pass  # a follower has nothing more to say
    except OSError as error:
        raise _HungUpError from error
    raise _HungUpError


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    """Remove the socket of a sentinel that was killed; one that answers is left alone."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise DeviceError(f"{path}: expected a socket or nothing, got another file; remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) == 0:
            raise DeviceError(f"{path}: another sentinel serves here; see: vedette status")
    path.unlink()
