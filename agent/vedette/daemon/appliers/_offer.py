"""Hands content to the running sentinel by the way that a person would: its file, then a reload.

Rule 1: the sentinel verifies it once more, by the trust document and by floors of its own.
Rule 2: what it refuses does not stay in the place where it would be offered again: what lay there
before comes back.
Rule 3: where the agent does not run, the file lies ready, and the next start takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.codec.strict_json import Json
from vedette.daemon import control_client
from vedette.daemon.control_client import NotRunningError
from vedette.errors import RequestError
from vedette.store import durable

RELOAD_TIMEOUT_S = 60.0


def offer(
    socket: Path, place: Path, content: bytes, why_not: Callable[[dict[str, Json]], str]
) -> str:
    """Put content in its place and let the sentinel take it.

    Args:
        socket: the sentinel's control socket.
        place: where this content is offered, by the configuration.
        content: as it was signed.
        why_not: from the sentinel's status after the reload, why it is not in use; "" if it is.

    Returns:
        Why the sentinel did not take it, "" where it did or will at its start.

    Raises:
        StoreError: the disk did not take it.
        DeviceError: the sentinel does not answer; the content lies in its place.
    """
    before = durable.read(place, MAX_ENVELOPE_BYTES)
    durable.write(place, content)
    try:
        control_client.ask(socket, "reload", timeout_s=RELOAD_TIMEOUT_S)
        reason = why_not(control_client.ask(socket, "status", timeout_s=RELOAD_TIMEOUT_S))
    except NotRunningError:
        return ""
    except RequestError as error:
        reason = str(error)
    if reason:
        _put_back(place, before)
    return reason


def _put_back(place: Path, before: bytes | None) -> None:
    if before is None:
        durable.remove(place)
    else:
        durable.write(place, before)
