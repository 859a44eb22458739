"""What the sentinel is told about parts that failed: one small file in the run folder.

The keeper writes it; where systemd keeps the parts, ExecStopPost of each adds to it (`note_end`).

The sentinel reads it at its start (was I killed?) and from time to time (does the uplink fail?).
What it has told is written beside it, so that the next sentinel does not tell it again.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.daemon.keeper import REPORT, TOLD
from vedette.errors import ParseError

MAX_BYTES = 4096
ENDED = "ended"
"""In the run folder: the report of parts that systemd keeps."""

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


def end_by_systemd(environment: Mapping[str, str]) -> str:
    """How a service ended, in the keeper's words: systemd.exec(5), $SERVICE_RESULT.

    Returns:
        "" where it ended in good order, or nobody says.
    """
    result = environment.get("SERVICE_RESULT", "success")
    if result == "success":
        return ""
    status = environment.get("EXIT_STATUS", "unknown")[:32]
    is_exit = environment.get("EXIT_CODE") == "exited"
    words = f"ended with exit code {status}" if is_exit else f"was ended by SIG{status}"
    return f"hung and {words}" if result == "watchdog" else words


def note_end(run_dir: Path, name: str, last_end: str) -> None:
    """Count one more failure of a part; "" counts none.

    In a folder of its own (`ENDED`, of tmpfiles.d): the sentinel watches who writes in its run
    folder, and does not know the process that systemd starts for this.

    Raises:
        OSError: the folder is not there, or cannot be written.
    """
    if not last_end:
        return
    ended = run_dir / ENDED
    folder = os.open(ended, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two parts may end at once
        _note(ended, name, last_end)
    finally:
        os.close(folder)


def _note(folder: Path, name: str, last_end: str) -> None:
    try:
        parts = {part.name: part for part in read(folder)}
    except ParseError:  # somebody wrote there: what is certain is told
        parts = {}
    before = parts.get(name, PartState(name, 0, "", 0.0))
    printable = re.sub(r"[^ -~]", "?", last_end)[:200]
    parts[name] = before._replace(restarts=before.restarts + 1, last_end=printable)
    lines = [
        f"{one.name}\t{one.restarts}\t{one.pause_s:.0f}\t{one.last_end}\n" for one in parts.values()
    ]
    new = folder / f"{REPORT}.new"
    new.write_text("".join(lines), "ascii")
    new.replace(folder / REPORT)


def take_new(run_dir: Path) -> tuple[PartState, ...]:
    """The parts that failed since the last call, also one by an earlier process.

    Returns:
        Their states; `restarts` counts only what is new.

    Raises:
        ParseError: the report is not the keeper's.
        OSError: it cannot be read, or what was taken cannot be noted.
    """
    found = read(run_dir)
    told = _told(run_dir)
    new = tuple(
        part._replace(restarts=part.restarts - told.get(part.name, 0))
        for part in found
        if part.restarts > told.get(part.name, 0)
    )
    if new:
        lines = [f"{part.name}\t{part.restarts}\t0\t\n" for part in found]
        (run_dir / TOLD).write_text("".join(lines), "ascii")
    return new


def _told(run_dir: Path) -> dict[str, int]:
    try:
        return {part.name: part.restarts for part in parse((run_dir / TOLD).read_bytes())}
    except (FileNotFoundError, ParseError):  # cut by a crash: told twice rather than never
        return {}


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
