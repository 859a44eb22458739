"""One process that the keeper started: begun in a session of its own, awaited, ended, buried.

Rule 1: it is known by its pid, which means nobody else until `bury`: until then it is a zombie.
Rule 2: what it left running in its session ends with it, and it ends with the keeper.
Rule 3: as few imports as the keeper itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping

from vedette.daemon.signal_names import signal_name

EXIT_NO_PROGRAM = 127
ENDED_WELL = "ended with exit code 0"
"""What `bury` says of one that did what it was begun for."""


def spawn(argv: tuple[str, ...], environment: Mapping[str, str], mask: set[int]) -> int:
    """Begin one with nothing on its standard input; returns its pid.

    Args:
        argv: its program by absolute path, then its arguments.
        environment: all of it.
        mask: the signals that are blocked in it.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(argv, environment, mask, parent)
    return pid


def has_ended(pid: int) -> bool:
    """Whether it is a zombie by now; it stays one."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def await_end(pid: int, until_s: float) -> bool:
    """Whether it has ended by then (time.monotonic); SIGCHLD has to be blocked.

    Other signals wait, and nothing else is done meanwhile.
    """
    while not has_ended(pid):
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            return False
        # A SIGCHLD of another part is taken here too; each round of the keeper reaps all.
        signal.sigtimedwait({signal.SIGCHLD}, left_s)
    return True


def abort(pid: int, deadline_s: float) -> None:
    """End one that hangs so that it can say where, by force after so many seconds."""
    os.kill(pid, signal.SIGABRT)
    os.kill(pid, signal.SIGCONT)  # a stopped process takes no other signal
    if not await_end(pid, time.monotonic() + deadline_s):
        kill(pid)


def kill(pid: int) -> None:
    """End it by force; a zombie on return."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def bury(pid: int) -> str:
    """Kill what a zombie's session still runs, take its status, and say how it ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # Its group is empty, or holds only the zombie of a process that had become another user.
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal_name(-code)}"


def _become(
    argv: tuple[str, ...], environment: Mapping[str, str], mask: set[int], parent: int
) -> None:
    """The child's side: never returns."""
    try:
        os.setsid()
        from vedette.daemon.privileges import die_with_parent  # noqa: PLC0415 (ctypes)

        die_with_parent(signal.SIGTERM, parent)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execve(argv[0], argv, dict(environment))  # noqa: S606 (argv is ours)
    except BaseException as error:  # noqa: BLE001 (a forked child must not return to the caller)
        os.write(2, f"vedette: cannot start {argv[0]}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(EXIT_NO_PROGRAM)
