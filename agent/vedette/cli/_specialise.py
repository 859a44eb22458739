"""What is left of a condition once some of its comparisons are known to be true or false.

Rule: the result is True, False, or a condition that holds neither, with the same meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

Rewrite: TypeAlias = Callable[[Match], Condition | bool]
"""Says of one comparison whether it is known, or what stands in its place."""


def specialise(condition: Condition, rewrite: Rewrite) -> Condition | bool:
    """Rewrite each comparison and take out what is known."""
    match condition:
        case Match():
            return rewrite(condition)
        case Not():
            part = specialise(condition.part, rewrite)
            return not part if isinstance(part, bool) else Not(part)
        case AllOf():
            return all_of(specialise(part, rewrite) for part in condition.parts)
        case AnyOf():
            return any_of(specialise(part, rewrite) for part in condition.parts)


def all_of(parts: Iterable[Condition | bool]) -> Condition | bool:
    """True when every part is."""
    kept: list[Condition] = []
    for part in parts:
        if part is False:
            return False
        if not isinstance(part, bool):
            kept += part.parts if isinstance(part, AllOf) else [part]
    if not kept:
        return True
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def any_of(parts: Iterable[Condition | bool]) -> Condition | bool:
    """True when one part is."""
    kept: dict[Condition, None] = {}
    for part in parts:
        if part is True:
            return True
        if not isinstance(part, bool):
            kept.update(dict.fromkeys(part.parts if isinstance(part, AnyOf) else [part]))
    if not kept:
        return False
    return next(iter(kept)) if len(kept) == 1 else AnyOf(tuple(kept))
