"""What asks for an update: a file in the run folder, which whoever keeps the agent looks for.

The sentinel has given up what an update needs, and so starts none: it writes this file and wakes
the keeper (`daemon/keeper.py`); under a service manager a path unit on the file does the same.

    schedule | boot | operator:<key id>:<number>        and behind it, after a blank, at will:
    now | rollback rules | rollback firmware | rollback model

Rule 1: one request at a time: the newest counts, and is taken away by who carries it out.
Rule 2: only root can write there; a file that is something else asks for nothing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 512
_REQUEST = re.compile(
    r"(?P<by>schedule|boot|control|operator:[0-9a-f]{16}:[0-9]{1,16})"
    r"(?: (?P<now>now)| rollback (?P<kind>rules|firmware|model))?\n"
)


class UpdateRequest(NamedTuple):
    """What is asked for.

    Attributes:
        by: who asks.
        is_now: without waiting for a rollout or a window.
        rollback: the kind to go back with, "" to look for releases.
    """

    by: str
    is_now: bool = False
    rollback: str = ""


def write(path: Path, request: UpdateRequest) -> None:
    """Ask; replaces what was asked before and not yet taken.

    Raises:
        OSError: the run folder cannot be written.
        ValueError: it is no request that `take` would read.
    """
    words = [request.by]
    words += ["now"] if request.is_now else []
    words += ["rollback", request.rollback] if request.rollback else []
    text = " ".join(words) + "\n"
    if _REQUEST.fullmatch(text) is None:
        raise ValueError(f"expected a request for an update, got {text!a}")
    new = path.with_name(path.name + ".new")
    new.write_text(text, "ascii")
    new.replace(path)


def take(path: Path) -> UpdateRequest | None:
    """Take a request away; None where there is none, or something else lay there."""
    taken = path.with_name(path.name + ".taken")
    try:
        path.rename(taken)
        with taken.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            taken.unlink()
    found = _REQUEST.fullmatch(data.decode("ascii", "replace"))
    if found is None:
        return None
    return UpdateRequest(found["by"], bool(found["now"]), found["kind"] or "")
