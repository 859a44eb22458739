"""Which share of a busy processor this process gets (sched(7)), and who is ended where memory ends.

Rule 1: the fair class only: nobody is ever starved, not by a storm and not by a mistake of ours.
Rule 2: threads that are started later inherit it; children are put back with `as_others`: a unit
that is spared (OOMScoreAdjust=) spares its children too, and the kernel ended the uplink for what
a scan had taken.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

_AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Where each session is a group of its own, a nice value counts within the session alone, and this
file has the group's (sched(7), "The autogroup feature")."""
_FIRST_TO_END: Final = 500
"""Of 1000: before whatever on the device takes less than half of its memory (proc(5))."""


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
    """Give a child of ours, which inherited our share and is spared as we are, what others have."""
    with contextlib.suppress(OSError):  # it has ended, or is another user's: that is no harm
        os.setpriority(os.PRIO_PROCESS, pid, 0)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("0", encoding="ascii")


def step_back() -> None:
    """The smallest share, in a session of its own, and the first to end: for a child that has time.

    What it was started for is begun anew at its next time; whoever watches would not be.
    """
    with contextlib.suppress(PermissionError):  # it leads a group already
        os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    with contextlib.suppress(OSError):  # this kernel has no autogroups, or nobody may ask now
        _AUTOGROUP.write_text("19", encoding="ascii")
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_END), encoding="ascii")
