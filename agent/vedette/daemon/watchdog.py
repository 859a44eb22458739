"""The keeper's ear: hears from the sentinel that it lives, and passes that on to systemd.

Rule 1: what comes are datagrams of sd_notify(3) on a socket of our own in the run folder; the
sentinel need not know whether systemd or the keeper gave it.
Rule 2: nothing polls: each datagram raises SIGIO, which the keeper takes like its other signals.
Rule 3: a sentinel that is not yet ready is granted START_S, from then on SILENT_S between words.
"""

from __future__ import annotations

import _socket  # the C half of socket: the other half costs the resident keeper 0.35 MB
import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Mapping

SOCKET = "notify.sock"

PERIOD_S = 40.0
"""What the sentinel is granted: it speaks twice in it."""
SILENT_S = 60.0
"""A sentinel that is stopped for 30 s between two words is not yet taken for dead."""
START_S = 300.0
"""For a start on a slow device whose journal has to be checked first."""

_F_SETOWN_EX = 15  # linux/fcntl.h; not in Python's fcntl
_F_OWNER_TID = 0
_MAX_BYTES = 4096
_MAX_DATAGRAMS = 64
"""Read at one wake-up; who floods raises SIGIO again."""
_STOPPING = b"STOPPING=1"
_LIVES = frozenset((b"READY=1", b"WATCHDOG=1"))


class Watchdog:
    """Listens for one process at a time.

    Args:
        run_dir: where the socket is made; only root may write to it.
        environment: our own: NOTIFY_SOCKET and WATCHDOG_USEC tell of a service manager above us.

    Attributes:
        environment: what the watched process has to be given.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, run_dir: str, environment: Mapping[str, str]) -> None:
        self._above = _address(environment.get("NOTIFY_SOCKET", ""))
        self._path = f"{run_dir}/{SOCKET}"
        self._ear = _listen(self._path)
        self._identity = _identity(self._path)
        granted_us = _granted_us(environment)
        self.environment = {"NOTIFY_SOCKET": self._path, "WATCHDOG_USEC": str(granted_us)}
        self._due_s = float("inf")

    def close(self) -> None:
        """Remove the socket."""
        self._ear.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108 (no pathlib in the keeper)

    def started(self, now_s: float) -> None:
        """The watched process was started anew; `now_s` is a monotonic clock in seconds."""
        self._due_s = now_s + START_S

    def ended(self) -> None:
        """There is nothing to watch for now."""
        self._due_s = float("inf")

    @property
    def due_s(self) -> float:
        """When it is to be asked for `is_silent` at the latest."""
        return self._due_s

    def hear(self, now_s: float, *, is_stopping: bool) -> None:
        """Take what was said and pass it on, except a farewell that is not ours to say.

        Args:
            now_s: a monotonic clock in seconds.
            is_stopping: whether the keeper ends too, when the watched process says that it does.
        """
        for _ in range(_MAX_DATAGRAMS):
            try:
                said = self._ear.recv(_MAX_BYTES)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EINTR}:
                    raise
                return
            words = said.split(b"\n")
            if self._due_s != float("inf") and not _LIVES.isdisjoint(words):
                self._due_s = now_s + SILENT_S
            if is_stopping or _STOPPING not in words:
                self._pass_on(said)

    def mend(self, now_s: float) -> bool:
        """Listen anew where somebody took the socket's name away; whether that was so.

        Who was watched could not speak meanwhile, and is granted its time once more.

        Raises:
            OSError: the socket cannot be made.
        """
        if _identity(self._path) == self._identity:
            return False
        self._ear.close()
        self._ear = _listen(self._path)
        self._identity = _identity(self._path)
        if self._due_s != float("inf"):
            self._due_s = now_s + SILENT_S
        return True

    def is_silent(self, now_s: float) -> bool:
        """Whether nothing was heard for too long; `hear` comes before."""
        return now_s >= self._due_s

    def _pass_on(self, said: bytes) -> None:
        if not self._above:
            return
        out = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        try:
            out.setblocking(False)
            out.sendto(said, self._above)
        except OSError:
            pass  # who manages us does not listen: no reason to watch less
        finally:
            out.close()


def _listen(path: str) -> _socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 (no pathlib in the keeper)
    ear = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    before = os.umask(0o077)
    try:
        ear.bind(path)
    finally:
        os.umask(before)
    # To this thread (the first one's id is the pid): another one could not hold the signal back.
    owner = _F_OWNER_TID.to_bytes(4, sys.byteorder) + os.getpid().to_bytes(4, sys.byteorder)
    fcntl.fcntl(ear.fileno(), _F_SETOWN_EX, owner)
    flags = fcntl.fcntl(ear.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(ear.fileno(), fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    return ear


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _granted_us(environment: Mapping[str, str]) -> int:
    """Our own period, or a shorter one of the service manager above us."""
    ours_us = int(PERIOD_S * 1_000_000)
    above = environment.get("WATCHDOG_USEC", "")
    is_ours = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
    if is_ours and above.isascii() and above.isdigit() and 0 < int(above) < ours_us:
        return int(above)
    return ours_us


def _address(name: str) -> str:
    """As daemon/notify.py has it: a path, or an abstract name written with a leading @."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""
