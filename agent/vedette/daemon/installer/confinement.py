"""Takes from the installer what it never uses: the network, and most of root.

Rule 1: it is called before the first byte from the updater is looked at.
Rule 2: a kernel or container that refuses a network namespace is told; capabilities are given up in
any case, and what is left cannot open a connection without a bug elsewhere.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from vedette.daemon import privileges

CLONE_NEWNET: Final = 0x4000_0000  # linux/sched.h

KEPT: Final = frozenset({"dac_override", "sys_rawio", "sys_admin", "kill", "setuid", "setgid"})
"""Slots are devices and boot environments may need mounting; the worker gets another user."""


def confine(keep: frozenset[str] = KEPT) -> list[str]:
    """Leave the network and give up all capabilities but these, for good.

    Returns:
        What could not be given up, one line each.

    Raises:
        DeviceError: the kernel kept more capabilities than asked.
    """
    problems = leave_network()
    privileges.drop_to(keep)
    return problems


def leave_network() -> list[str]:
    """Go into a network namespace of our own, which has nothing in it; open sockets stay.

    Returns:
        Why it could not, or nothing.
    """
    if os.geteuid() != 0:
        return ["the installer keeps its network: only root may have a namespace of its own"]
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        return [f"the installer keeps its network: unshare(2) says {reason}"]
    return []
