"""Which share of a busy processor this process gets (sched(7)).

Rule 1: the fair class only: nobody is ever starved, not by a storm and not by a mistake of ours.
Rule 2: threads that are started later inherit it; children are put back with `as_others`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

_AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Where each session is a group of its own, a nice value counts within the session alone, and this
file has the group's (sched(7), "The autogroup feature")."""


def hasten(nice: int) -> str:
    """Take a larger share, for this thread and those it starts; before privileges are given up.

    Args:
        nice: -20 to 0; 0 changes nothing.

    Returns:
        "" when it holds, else why it does not.
    """
    if not nice:
        return ""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        # Somebody's session is theirs: a shell must not become quick by starting us.
        if os.getsid(0) == os.getpid() and _is_grouped():
            _AUTOGROUP.write_text(str(nice), encoding="ascii")
    except OSError as error:
        return f"{error.strerror}: the capability sys_nice is needed"
    return ""


def _is_grouped() -> bool:
    """Whether this session is a group: the kernel's first one is none, and its file is empty."""
    try:
        return bool(_AUTOGROUP.read_text(encoding="ascii"))
    except OSError:  # a kernel without autogroups
        return False


def as_others(pid: int) -> None:
    """Give a child of ours, which inherited our share, that of anybody else."""
    with contextlib.suppress(OSError):  # it has ended, or is another user's: that is no harm
        os.setpriority(os.PRIO_PROCESS, pid, 0)


def step_back() -> None:
    """The smallest share, in a session of its own: for a child that has time."""
    with contextlib.suppress(PermissionError):  # it leads a group already
        os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    with contextlib.suppress(OSError):  # this kernel has no autogroups, or nobody may ask now
        _AUTOGROUP.write_text("19", encoding="ascii")
