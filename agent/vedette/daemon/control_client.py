"""Asks the running sentinel, from the command line: synchronous, standard library only.

Rule: every way in which nobody answers is told as what the person can do about it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.errors import DeviceError, ParseError, RequestError

TIMEOUT_S = 30.0
"""A doctor's answer waits for sensors that prove themselves, some of them seconds each."""
CONNECT_TIMEOUT_S = 5.0
MAX_REPLY_BYTES = 4 * 1024 * 1024
"""As daemon/control.py writes at most; not imported from there, since that needs asyncio."""


class NotRunningError(DeviceError):
    """No sentinel serves this socket."""


def ask(
    path: Path,
    do: str,
    params: Mapping[str, Json] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Json]:
    """Send one request and return its answer.

    Args:
        path: of the control socket (`Config.control_socket`).
        do: a request of daemon/control.py.
        params: what goes with it.
        timeout_s: how long the answer may take.

    Raises:
        NotRunningError: nobody listens there.
        RequestError: the sentinel refuses; its words say what to do.
        DeviceError: it is not reachable or does not answer.
    """
    with _connect(path) as connection:
        connection.settimeout(timeout_s)
        _send(connection, path, do, params)
        for reply in _replies(connection, path):
            answer = reply.get("ok")
            if isinstance(answer, dict):
                return answer
    raise DeviceError(f"{path}: the agent closed without an answer; see its own messages")


def follow(
    path: Path, do: str, params: Mapping[str, Json] | None = None
) -> Iterator[dict[str, Json]]:
    """Send one request and yield the items of its stream until the sentinel ends.

    Raises:
        As `ask`.
    """
    with _connect(path) as connection:
        _send(connection, path, do, params)
        connection.settimeout(None)
        for reply in _replies(connection, path):
            item = reply.get("item")
            if isinstance(item, dict):
                yield item


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_TIMEOUT_S)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NotRunningError(
            f"the agent does not run ({path}: {error.strerror}); start it with: vedette run, "
            "or name its configuration with --config"
        ) from error
    except PermissionError as error:
        connection.close()
        raise DeviceError(f"{path}: only root may ask the agent; use sudo") from error
    except OSError as error:
        connection.close()
        raise DeviceError(f"{path}: the agent cannot be reached ({error})") from error
    return connection


def _send(
    connection: socket.socket, path: Path, do: str, params: Mapping[str, Json] | None
) -> None:
    request = json.dumps({"do": do, "with": dict(params or {})})
    try:
        connection.sendall(request.encode() + b"\n")
    except BrokenPipeError:
        return  # turned away before it could ask: the reason is there to be read
    except OSError as error:
        raise DeviceError(f"{path}: the agent does not take the request ({error})") from error


def _replies(connection: socket.socket, path: Path) -> Iterator[dict[str, Json]]:
    waiting = bytearray()
    while True:
        try:
            data = connection.recv(65_536)
        except TimeoutError as error:
            timeout = connection.gettimeout() or 0.0
            raise DeviceError(
                f"{path}: the agent did not answer within {timeout:.0f} s; it may be overloaded "
                "or stopped: look at its own messages, or restart it"
            ) from error
        except ConnectionResetError:
            data = b""
        if not data:
            return
        waiting += data
        if len(waiting) > MAX_REPLY_BYTES and b"\n" not in waiting:
            raise DeviceError(f"{path}: expected at most {MAX_REPLY_BYTES} bytes in a line")
        *lines, rest = waiting.split(b"\n")
        waiting = bytearray(rest)
        for line in lines:
            yield _reply(bytes(line), path)


def _reply(line: bytes, path: Path) -> dict[str, Json]:
    try:
        reply = strict_json.parse(line, max_bytes=MAX_REPLY_BYTES)
    except ParseError as error:
        raise DeviceError(
            f"{path}: expected the agent's answer, got other bytes: {error}"
        ) from error
    if not isinstance(reply, dict):
        raise DeviceError(f"{path}: expected the agent's answer, got something else")
    refusal = reply.get("error")
    if refusal is not None:
        raise RequestError(str(refusal))
    return reply
