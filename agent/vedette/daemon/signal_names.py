"""What a signal is called, for people."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """Such as "SIGKILL"; "signal 40" of one without a name, which anybody may send himself."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
