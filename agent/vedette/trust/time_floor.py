"""What time it is at least, for everything that is held against a date.

Rule: now is the latest of the build time, the newest verified time of issue, and the wall clock; so
a clock in 1970 makes nothing valid that is over, and stops nothing either.
"""

from __future__ import annotations

from vedette.ports.state import State

TIME_FLOOR = "time.floor"
"""The newest verified time of issue, in the device's state."""


def trusted_now(state: State, build_s: int, wall_s: float) -> float:
    """Unix time that dates are held against.

    Args:
        state: keeps the newest verified time of issue.
        build_s: when this agent was built.
        wall_s: as this device believes.
    """
    return max(float(build_s), float(state.number(TIME_FLOOR)), wall_s)
