"""How much of a value is looked at: all of it, or the head and the tail of a long one."""

from __future__ import annotations

SCAN_CHARS = 4096
"""Ours: 4 KB hostile lines are the budgeted worst case of DESIGN section 11."""

_TAIL_CHARS = 1024
_GAP = "\n\x00\n"
"""Between head and tail: no program can be given a NUL, so no literal matches across the gap."""

HEAD_CHARS = SCAN_CHARS - _TAIL_CHARS - len(_GAP)
"""What is looked at of the beginning of a longer value."""


def cut(value: str) -> str:
    """The part of a value that is looked at; padding in front does not hide what stands behind."""
    if len(value) <= SCAN_CHARS:
        return value
    return value[:HEAD_CHARS] + _GAP + value[-_TAIL_CHARS:]


def is_cut(value: str) -> bool:
    """Whether a value is what `cut` left of a longer one."""
    return len(value) == SCAN_CHARS and value.startswith(_GAP, HEAD_CHARS)
