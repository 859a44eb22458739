"""When to ask again, so that a fleet never asks as one.

Rule: full jitter: each pause is drawn evenly between nothing and its bound. Half the bound with a
little noise would still send a fleet that lost its server at one moment back in one wave.
"""

from __future__ import annotations

MAX_DOUBLINGS = 32
"""Beyond it, 2**n of seconds is longer than any bound."""


def pause_s(failures: int, first_s: float, cap_s: float, chance: float) -> float:
    """The pause after so many failures in a row.

    Args:
        failures: from 1.
        first_s: bound of the first pause; each further failure doubles it.
        cap_s: bound of all pauses.
        chance: drawn evenly from [0, 1).
    """
    bound_s = first_s * 2.0 ** min(max(failures, 1) - 1, MAX_DOUBLINGS)
    return chance * min(bound_s, cap_s)


def next_check_s(interval_s: float, failures: int, chance: float) -> float:
    """Seconds until a repository is looked at again.

    Evenly between nothing and twice the interval, so that the mean is the interval; each failure
    doubles the mean, up to eight intervals.

    Args:
        interval_s: that the configuration asks for.
        failures: looks in a row that reached nothing.
        chance: drawn evenly from [0, 1).
    """
    return pause_s(failures + 1, 2 * interval_s, 16 * interval_s, chance)
