"""Runs a tool of a boot loader; what it could not do is a SlotError with its own words."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vedette.codec.text import escape
from vedette.errors import SlotError
from vedette.kernel import program

TIMEOUT_S = 30.0
"""An environment of some kilobytes takes milliseconds; a worn NAND takes seconds."""


def found(configured: str, name: str) -> str:
    """Where a tool is: as it is configured, or in the system's folders.

    Raises:
        SlotError: it is not there.
    """
    if configured:
        places = [configured]
    else:
        places = [f"{folder}/{name}" for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin")]
    for place in places:
        if os.access(place, os.X_OK):
            return place
    raise SlotError(f"{places[0]}: is not there or no program; install what provides {name}")


def run(
    argv: Sequence[str],
    *,
    given: bytes = b"",
    timeout_s: float = TIMEOUT_S,
    with_errors: bool = True,
) -> str:
    """Run it to its end; returns what it said.

    Raises:
        SlotError: it does not end with 0 in time.
    """
    try:
        ran = program.run(argv, timeout_s, given=given, with_errors=with_errors)
    except (OSError, ValueError) as error:
        raise SlotError(f"{' '.join(argv[:3])}: {error}") from error
    if ran.status:
        said = escape(ran.output.strip())[-300:] or "it says nothing"
        raise SlotError(f"{' '.join(argv[:3])}: left with {ran.status}: {said}")
    return ran.output
