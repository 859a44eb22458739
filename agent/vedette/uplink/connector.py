"""Opens the connection to the broker without ever blocking the loop.

Rule 1: name, TCP and TLS each have a deadline of their own.
Rule 2: only the look-up of the name uses a thread, since the C library offers nothing else.
Rule 3: every failure is an UplinkError whose text a person can act on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from typing import NamedTuple

from vedette.errors import UplinkError
from vedette.uplink import tls
from vedette.uplink.settings import UplinkSettings

RESOLVE_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 15.0
"""For each address of the broker."""
HANDSHAKE_TIMEOUT_S = 20.0


class Connection(NamedTuple):
    """A connected, non-blocking stream; `warning` is for people, "" if all is well."""

    stream: socket.socket
    warning: str


async def connect(settings: UplinkSettings, context: ssl.SSLContext | None) -> Connection:
    """Reach the broker and, with a context, make it prove who it is.

    Raises:
        UplinkError: it could not be reached or is not who it should be.
    """
    if context is None and not _is_loopback(settings.host):
        raise UplinkError(
            f"{settings.host}: expected TLS for a broker that is not on loopback; name its CA"
        )
    plain = await _first_reachable(settings, await _resolve(settings))
    if context is None:
        return Connection(plain, "")
    try:
        return await _secure(settings, context, plain)
    except BaseException:
        plain.close()
        raise


async def _resolve(settings: UplinkSettings) -> list[tuple[int, tuple[object, ...]]]:
    loop = asyncio.get_running_loop()
    kind = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    with contextlib.suppress(socket.gaierror):  # an address asks nobody and needs no thread
        numeric = socket.getaddrinfo(
            settings.host, settings.port, flags=socket.AI_NUMERICHOST, **kind
        )
        return [(family, address) for family, _, _, _, address in numeric]
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(settings.host, settings.port, **kind)
    except TimeoutError as error:
        raise UplinkError(
            f"{settings.host}: no DNS server answered within {RESOLVE_TIMEOUT_S:g} s"
        ) from error
    except (OSError, UnicodeError) as error:
        raise UplinkError(f"{settings.host}: the name has no address: {error}") from error
    return [(family, address) for family, _, _, _, address in found]


async def _first_reachable(
    settings: UplinkSettings, addresses: list[tuple[int, tuple[object, ...]]]
) -> socket.socket:
    failures: list[str] = []
    for family, address in addresses:
        try:
            return await _reach(family, address)
        except TimeoutError:
            failures.append(f"{address[0]}: no answer within {CONNECT_TIMEOUT_S:g} s")
        except OSError as error:
            failures.append(f"{address[0]}: {error.strerror or error}")
    raise UplinkError(
        f"{settings.host}:{settings.port}: cannot connect: {'; '.join(failures) or 'no address'}"
    )


async def _reach(family: int, address: tuple[object, ...]) -> socket.socket:
    stream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(stream, address)
    except BaseException:
        stream.close()
        raise
    return stream


async def _secure(
    settings: UplinkSettings, context: ssl.SSLContext, plain: socket.socket
) -> Connection:
    stream = context.wrap_socket(
        plain, server_hostname=settings.host, do_handshake_on_connect=False
    )
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await _handshake(stream)
        chain = tls.verified_chain(stream)
        warning = tls.check_dates(chain, time.time(), settings.earliest_s)
    except TimeoutError as error:
        stream.close()
        raise UplinkError(
            f"{settings.host}: no TLS handshake within {HANDSHAKE_TIMEOUT_S:g} s"
        ) from error
    except ssl.SSLError as error:
        stream.close()
        words = getattr(error, "verify_message", "") or error.reason or error
        raise UplinkError(f"{settings.host}: no trust in the broker: {words}") from error
    except OSError as error:
        stream.close()
        raise UplinkError(f"{settings.host}: the broker hung up during TLS: {error}") from error
    except BaseException:
        stream.close()
        raise
    return Connection(stream, warning)


async def _handshake(stream: ssl.SSLSocket) -> None:
    while True:
        try:
            stream.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(stream, is_read=True)
        except ssl.SSLWantWriteError:
            await _ready(stream, is_read=False)
        else:
            return


async def _ready(stream: socket.socket, *, is_read: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (
        (loop.add_reader, loop.remove_reader) if is_read else (loop.add_writer, loop.remove_writer)
    )
    add(stream, ready.set)
    try:
        await ready.wait()
    finally:
        remove(stream)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
