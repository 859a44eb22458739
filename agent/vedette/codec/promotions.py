"""Decisions about playbooks as texts of the trusted state: one text for each.

    <SHA-256 of the playbook in hex> <mode> <counter> <reason>

Rule: a text that is none is passed over with a problem: the playbook then is as its set has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vedette.codec.text import escape, quoted
from vedette.model.playbook import Promotion
from vedette.model.response import Mode

MAX_PROMOTIONS = 64
"""Ours: the oldest decisions of earlier sets go first."""
_MAX_REASON = 160
_TEXT = re.compile(r"([0-9a-f]{64}) (observe|enforce) (0|[1-9][0-9]{0,15}) (.*)", re.DOTALL)


def encode(promotions: Mapping[str, Promotion]) -> tuple[str, ...]:
    """The newest MAX_PROMOTIONS of them, oldest first."""
    kept = list(promotions.items())[-MAX_PROMOTIONS:]
    return tuple(
        f"{digest} {one.mode} {one.counter} {escape(one.reason)[:_MAX_REASON]}"
        for digest, one in kept
    )


def decode(texts: Iterable[str]) -> tuple[dict[str, Promotion], list[str]]:
    """What `encode` made, by the playbook's digest, and one line for each text that is none."""
    found: dict[str, Promotion] = {}
    problems: list[str] = []
    for text in texts:
        parts = _TEXT.fullmatch(text)
        if parts is None:
            problems.append(f"expected a decision about a playbook, got {quoted(text)}")
            continue
        digest, mode, counter, reason = parts.groups()
        found[digest] = Promotion(Mode(mode), int(counter), reason)
    return found, problems
