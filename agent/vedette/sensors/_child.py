"""A child process for a sensor: spawned without a thread, awaited by pidfd, ended by its pid.

Rule 1: it inherits no descriptor but the one it is given as standard output, and nothing of the
agent's environment.
Rule 2: `end` leaves no process and no zombie.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from vedette.kernel.priority import as_others

END_TIMEOUT_S = 2.0
"""After SIGTERM; then SIGKILL, which takes milliseconds unless the disk hangs."""

REAP_PERIOD_S = 0.02
"""Between looks at a child that is about to end, on kernels without pidfd_open(2)."""

_STANDARD_ERROR = 2
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Child:
    """One running program.

    Args:
        argv: the first is an absolute path.
        stdout: a descriptor for its standard output, which stays open here; None discards it.
        resets_ids: set its effective uid and gid to the real ones (posix_spawn's RESETIDS).

    Raises:
        OSError: it could not be started.
    """

    def __init__(
        self, argv: Sequence[str], stdout: int | None = None, *, resets_ids: bool = False
    ) -> None:
        null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
        output = (os.POSIX_SPAWN_DUP2, 0 if stdout is None else stdout, 1)
        self.pid = os.posix_spawn(
            argv[0],
            list(argv),
            _ENVIRONMENT,
            file_actions=[null, output, (os.POSIX_SPAWN_DUP2, 0, 2), *_close_inheritable()],
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
            resetids=resets_ids,
        )
        as_others(self.pid)
        self._status: int | None = None

    async def wait(self) -> int:
        """Its exit status once it has ended; minus the signal's number if one ended it."""
        while True:
            status = self._reap()
            if status is not None:
                return os.waitstatus_to_exitcode(status)
            await self._ended()

    async def end(self) -> None:
        """Ask it to end, then end it. Safe to call twice."""
        if self._reap() is not None:
            return
        # Not reaped, so the pid is still its own.
        os.kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self.wait()
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            await self.wait()

    def _reap(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status

    async def _ended(self) -> None:
        """Return when it has ended, or after a moment where the kernel cannot say when."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:  # Linux < 5.3
            await asyncio.sleep(REAP_PERIOD_S)
            return
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_reader(pidfd, _finish, ended)  # pidfd_open(2): readable when it has ended
        try:
            await ended
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def _close_inheritable() -> list[tuple[int, int]]:
    """What whoever started the agent left open across exec stays here."""
    actions = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - no Path for a number
        fd = int(name)
        # The descriptor of the listing itself is gone by now.
        with contextlib.suppress(OSError):
            if fd > _STANDARD_ERROR and os.get_inheritable(fd):
                actions.append((os.POSIX_SPAWN_CLOSE, fd))
    return actions


def _finish(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
