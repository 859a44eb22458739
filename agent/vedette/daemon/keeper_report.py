"""What the keeper tells the sentinel about parts that failed: one small file in the run folder.

The sentinel reads it at its start (was I killed?) and from time to time (does the uplink fail?).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from vedette.daemon.keeper import REPORT
from vedette.errors import ParseError

MAX_BYTES = 4096

_LINE = re.compile(r"([a-z]{1,32})\t(\d{1,9})\t(\d{1,9})\t([ -~]{0,200})", re.ASCII)


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


def read(run_dir: Path) -> tuple[PartState, ...]:
    """The states that the keeper told last; empty when nothing ever failed.

    Raises:
        ParseError: the file is not the keeper's.
        OSError: it cannot be read.
    """
    try:
        with (run_dir / REPORT).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    return parse(data)


def parse(data: bytes) -> tuple[PartState, ...]:
    """Read a report.

    Raises:
        ParseError: a line is not as the keeper writes it, or the last one has no end.
    """
    if len(data) > MAX_BYTES or not data.endswith(b"\n"):
        raise ParseError(f"{REPORT}: expected at most {MAX_BYTES} bytes of whole lines", len(data))
    return tuple(_state(line) for line in data.decode("latin-1").split("\n")[:-1])


def _state(line: str) -> PartState:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ParseError(f"{REPORT}: expected name, failures, pause and end, got {line[:80]!a}")
    return PartState(found[1], int(found[2]), found[4], float(found[3]))
