"""Runs the prober: the endpoint that only one proof uses, and the connection to it."""

from __future__ import annotations

import asyncio
import os
import sys
from binascii import crc32
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from vedette.errors import SensorError
from vedette.sensors._child import Child

_PROBER = "vedette.sensors._prober"
"""As a module: rules judge scripts by where they lie, and a checkout may lie anywhere."""
_FIRST_PORT = 1024
_PORTS = 64_000


class Endpoint(NamedTuple):
    """Where a proof connects to; the address is raw, within 127.0.0.0/8."""

    address: bytes
    port: int

    @property
    def text(self) -> str:
        """The address in dotted decimal."""
        return ".".join(map(str, self.address))


def endpoint_of(token: str) -> Endpoint:
    """The loopback endpoint that stands for a token: one of a hundred billion, never 127.0.0.1."""
    value = crc32(token.encode()) << 32 | crc32(b"port" + token.encode())
    middle = value >> 32
    address = bytes((127, 1 + (middle & 127), middle >> 8 & 255, 1 + (middle >> 16 & 127)))
    return Endpoint(address, _FIRST_PORT + value % _PORTS)


async def connect(kind: Literal["udp", "tcp"], endpoint: Endpoint) -> None:
    """Have a child process connect to an endpoint.

    Raises:
        SensorError: it could not be started or failed; the reason is the system's.
    """
    child = _start(kind, endpoint)
    try:
        status = await child.wait()
    finally:
        await child.end()
    if status != 0:
        raise _failure(endpoint, status)


@asynccontextmanager
async def listening(endpoint: Endpoint) -> AsyncIterator[None]:
    """Have a child process listen on an endpoint for the time of the context.

    Raises:
        SensorError: it could not be started or failed; the reason is the system's.
    """
    reading, writing = os.pipe()
    try:
        child = _start("listen", endpoint, writing)
    except SensorError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        await _readable(reading)
        if not os.read(reading, 1):
            raise _failure(endpoint, await child.wait())
        yield
    finally:
        os.close(reading)
        await child.end()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _start(kind: str, endpoint: Endpoint, stdout: int | None = None) -> Child:
    argv = [sys.executable, "-I", "-m", _PROBER, kind, endpoint.text, str(endpoint.port)]
    try:
        return Child(argv, stdout)
    except OSError as error:
        raise SensorError(f"the prober {argv[0]} did not start: {error}") from error


def _failure(endpoint: Endpoint, status: int) -> SensorError:
    reason = os.strerror(status) if status > 0 else f"signal {-status}"
    return SensorError(f"the prober failed on {endpoint.text} port {endpoint.port}: {reason}")
