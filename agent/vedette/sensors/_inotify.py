"""The package inotify-simple, without what it looks for libc with.

Rule: for sensors that watch by inotify, imported when one opens (rule 5 of ports/sensor.py).
"""

from __future__ import annotations

import inotify_simple
from inotify_simple import INotify, flags, parse_events

__all__ = ["INotify", "flags", "parse_events"]


def _of_this_process(_name: str) -> None:
    """What CDLL takes for the libraries that are loaded already, libc among them."""


# ctypes.util would run ldconfig(8), and stay with tempfile, shutil and subprocess: 0.6 MB.
inotify_simple.find_library = _of_this_process
