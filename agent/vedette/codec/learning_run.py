"""A learning run <-> canonical JSON, as the agent keeps it over restarts and power cuts."""

from __future__ import annotations

import re
from typing import get_args

from vedette.codec.profile import (
    MAX_BYTES,
    number,
    plain_learnt,
    plain_left_out,
    read_learnt,
    read_left_out,
    text,
)
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.profile import LearningRun, LearningState

FORMAT = 1
MAX_BOOTS = 64
"""Ours: the first start and the newest ones say all that is asked: were there any?"""

_STATES: dict[str, LearningState] = {state: state for state in get_args(LearningState)}
_BOOT = re.compile(r"[0-9a-f]{32}")


def encode(run: LearningRun) -> bytes:
    """The file of a run; equal runs give equal bytes."""
    boots: list[Json] = [*run.boots[:1], *run.boots[1:][-MAX_BOOTS + 1 :]]
    return canonical(
        {
            "boots": boots,
            "class": run.device_class,
            "device": run.device,
            "elapsed": run.elapsed_s,
            "firmware": run.firmware,
            "format": FORMAT,
            "from": run.began_s,
            "left-out": plain_left_out(run.learnt.left_out),
            "losses": run.losses,
            "state": run.state,
            "wanted": run.wanted_s,
            "written": run.is_written,
            **plain_learnt(run.learnt),
        }
    )


def decode(data: bytes) -> LearningRun:
    """Read a run back.

    Raises:
        ParseError: it is none, or of another edition.
    """
    fields = parse(data, max_bytes=MAX_BYTES)
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ParseError(f"expected a learning run of format {FORMAT}")
    state = _STATES.get(str(fields.get("state")))
    if state is None:
        raise ParseError(f"expected state to be one of {', '.join(_STATES)}")
    is_written = fields.get("written")
    if not isinstance(is_written, bool):
        raise ParseError(f"expected written to be true or false, got {quoted(is_written)}")
    return LearningRun(
        state,
        text(fields, "device"),
        text(fields, "class"),
        text(fields, "firmware"),
        number(fields, "from"),
        number(fields, "wanted"),
        number(fields, "elapsed"),
        _boots(fields.get("boots")),
        number(fields, "losses"),
        is_written,
        read_learnt(fields, read_left_out(fields.get("left-out"))),
    )


def _boots(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_BOOTS:
        raise ParseError(f"expected boots to be a list of at most {MAX_BOOTS}")
    for boot in value:
        if not isinstance(boot, str) or not _BOOT.fullmatch(boot):
            raise ParseError(f"expected boots of 32 hex digits, got {quoted(boot)}")
    return tuple(str(boot) for boot in value)
