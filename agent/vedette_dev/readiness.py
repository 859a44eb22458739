"""Hears when the agent is ready: the service manager's side of sd_notify(3)."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from vedette.errors import DeviceError

POLL_S = 0.25
_MAX_BYTES = 4096


class Readiness:
    """A socket to which a started process tells its state; a context manager.

    Attributes:
        environment: what to add to that process's.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self.environment = {"NOTIFY_SOCKET": str(path)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def wait(self, timeout_s: float, ended: Callable[[], str], told: Callable[[str], None]) -> None:
        """Wait for READY=1.

        Args:
            timeout_s: how long.
            ended: says why the process cannot become ready any more, "" while it can.
            told: gets each STATUS line on the way.

        Raises:
            DeviceError: it ended, or was not ready in time.
        """
        ends_s = time.monotonic() + timeout_s
        while time.monotonic() < ends_s:
            if why := ended():
                raise DeviceError(why)
            if not select.select([self._socket], [], [], POLL_S)[0]:
                continue
            lines = self._socket.recv(_MAX_BYTES).decode("utf-8", "replace").split("\n")
            for line in lines:
                if line.startswith("STATUS="):
                    told(line.removeprefix("STATUS="))
            if "READY=1" in lines:
                return
        raise DeviceError(f"expected the agent to be ready within {timeout_s:g} s, it was not")
