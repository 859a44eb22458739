"""Where responses ask for bans: a socket of root's in the run folder, one request a connection.

Rule: whatever a client sends or does not send costs bounded time and memory and ends in a reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from asyncio import streams  # not what asyncio takes from it: a resident has that later
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

from vedette.codec.ban_line import (
    LINE_BYTES_MAX,
    Held,
    Pardon,
    Request,
    encode_answer,
    parse_request,
)
from vedette.errors import DeviceError, ParseError, RequestError
from vedette.model.ban import Ban

REQUEST_S: Final = 2.0
"""For the line to come, and for the answer to go: both are sent at once."""
BACKLOG: Final = 16


class Bans(Protocol):
    """Who has the bans; each call raises RequestError with the reason why not."""

    async def ban(self, ban: Ban) -> None:
        """Returns when it is in force."""

    async def pardon(self, ban_id: str) -> None:
        """Returns when it is no longer in force."""

    def check_held(self, ban_id: str) -> None:
        """Returns if it is in force."""


def listen(path: Path) -> socket.socket:
    """Make the socket, 0600; clients wait in its queue until it is served.

    Raises:
        DeviceError: the folder is missing or not ours.
    """
    before = os.umask(0o177)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise DeviceError(f"{path}: cannot listen there ({error.strerror})") from error
    finally:
        os.umask(before)
    return listening


@contextlib.asynccontextmanager
async def served(listening: socket.socket, bans: Bans) -> AsyncIterator[None]:
    """Serve what `listen` made meanwhile; its file is gone afterwards."""
    path = Path(listening.getsockname())
    server = await streams.start_unix_server(
        _Desk(bans).serve, sock=listening, limit=LINE_BYTES_MAX
    )
    try:
        async with server:
            yield
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class _Desk:
    def __init__(self, bans: Bans) -> None:
        self._bans = bans

    async def serve(self, reader: streams.StreamReader, writer: streams.StreamWriter) -> None:
        """Answer one request."""
        try:
            async with asyncio.timeout(REQUEST_S):
                line = await reader.readline()
            writer.write(encode_answer(await self._answer(line)))
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
        except (OSError, TimeoutError, ValueError):  # ValueError: a line without end
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> str:
        try:
            await self._carry_out(parse_request(line))
        except (ParseError, RequestError) as error:
            return str(error)
        return ""

    async def _carry_out(self, request: Request) -> None:
        match request:
            case Ban():
                await self._bans.ban(request)
            case Pardon(ban_id):
                await self._bans.pardon(ban_id)
            case Held(ban_id):
                self._bans.check_held(ban_id)
