"""The program that a process sensor starts to see its own event."""

from __future__ import annotations

import os
import sys


def harmless_program(token: str) -> list[str]:
    """An argv that does nothing, ends at once, and carries the token as its last argument."""
    # Not shutil.which: its import costs the sentinel more memory than all of this sensor.
    for path in ("/usr/bin/true", "/bin/true"):
        if os.access(path, os.X_OK):
            return [path, token]
    return [sys.executable, "-I", "-S", "-c", "", token]
