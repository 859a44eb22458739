"""What the keeper tells the sentinel about parts that failed: one small file in the run folder.

The sentinel reads it at its start (was I killed?) and whenever its uplink comes back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vedette.codec.strict_json import parse
from vedette.errors import ParseError

NAME = "keeper.json"
MAX_BYTES = 4096


class PartState(NamedTuple):
    """One part that the keeper keeps.

    Attributes:
        restarts: failures since the keeper began.
        last_end: how it ended last, in words; "" if it never did.
        pause_s: seconds between that end and its next start; above 0 the budget is used up.
    """

    name: str
    restarts: int
    last_end: str
    pause_s: float


def write(run_dir: str, states: Iterable[PartState]) -> None:
    """Replace the report at once: a reader sees the old one or the new one.

    Raises:
        OSError: the folder does not take it.
    """
    path = f"{run_dir}/{NAME}"
    with open(f"{path}.new", "w", encoding="utf-8") as stream:  # noqa: PTH123 (the keeper has no pathlib)
        json.dump([state._asdict() for state in states], stream)
    os.replace(f"{path}.new", path)  # noqa: PTH105


def read(run_dir: Path) -> tuple[PartState, ...]:
    """The states that the keeper told last; empty when nothing ever failed.

    Raises:
        ParseError: the file is not the keeper's.
        OSError: it cannot be read.
    """
    try:
        with (run_dir / NAME).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    document = parse(data, max_bytes=MAX_BYTES)
    if not isinstance(document, list):
        raise ParseError(f"{NAME}: expected a list of parts")
    return tuple(_state(item) for item in document)


def _state(item: object) -> PartState:
    match item:
        case {
            "name": str(name),
            "restarts": int(restarts),
            "last_end": str(last_end),
            "pause_s": int(pause_s) | float(pause_s),
        }:
            return PartState(name, restarts, last_end, float(pause_s))
        case _:
            raise ParseError(f"{NAME}: expected name, restarts, last_end and pause_s of a part")
