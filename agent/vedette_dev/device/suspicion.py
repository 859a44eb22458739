"""Something harmless that every source of processes tells, known again by a word of its own.

A program that runs from a folder to which everybody may write is what a rule of ours looks for.
"""

from __future__ import annotations

import secrets

from vedette_dev.player import Arrival, is_of

LASTS_S = 3
"""A source that looks from time to time sees it, too."""


def new_word() -> str:
    """A word that no other incident has in it."""
    return "w" + secrets.token_hex(5)


def command(word: str, first: str = ":") -> str:
    """For the shell of a device.

    Args:
        word: becomes the program's name.
        first: another command, right before it.
    """
    program = f"/tmp/{word}"  # noqa: S108 (of the device)
    return f"cp /bin/sleep {program}; {first}; {program} {LASTS_S}; rm {program}"


def is_told(word: str, arrival: Arrival) -> bool:
    """Whether this is its incident."""
    return is_of(arrival.incident, ("attack.",), (word,))
