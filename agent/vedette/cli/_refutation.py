"""Proves that a condition can never be true, by what its comparisons say about each other.

Rule 1: sound, not complete: what it proves holds for every event; what it cannot prove within
its budget it leaves open. One rule implies another when the first and the negation of
the second are proven never to be true together.
Rule 2: a condition is first brought into a form where Not stands before comparisons alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias, assert_never

from vedette.cli._clause_logic import (
    excludes,
    implies,
    inverse_of_presence,
    is_absence,
    is_presence,
)
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

MAX_STEPS = 50_000
"""Ours: comparisons of two clauses in one proof; about 0.1 s."""


class Clash(NamedTuple):
    """Two comparisons that cannot both go as the condition needs."""

    one: Match
    other: Match


class Budget:
    """How many comparisons of clauses may still be made; several proofs may share one."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._steps = steps

    def spend(self) -> None:
        """Take one step.

        Raises:
            TooLongError: there is none left.
        """
        if self._steps <= 0:
            raise TooLongError
        self._steps -= 1


class TooLongError(Exception):
    """A proof would take more than its budget."""


def normal(condition: Condition, *, is_wanted: bool = True) -> Condition:
    """The same condition with Not before comparisons alone.

    Args:
        condition: any condition.
        is_wanted: False gives its negation.
    """
    match condition:
        case Match():
            if is_wanted:
                return condition
            if is_absence(condition) or is_presence(condition):
                return inverse_of_presence(condition)
            return Not(condition)
        case Not():
            return normal(condition.part, is_wanted=not is_wanted)
        case AllOf() | AnyOf():
            kind = AllOf if isinstance(condition, AllOf) == is_wanted else AnyOf
            parts: list[Condition] = []
            for part in condition.parts:
                inner = normal(part, is_wanted=is_wanted)
                parts += inner.parts if isinstance(inner, kind) else (inner,)
            return parts[0] if len(parts) == 1 else kind(tuple(parts))
        case _:
            assert_never(condition)


def refute(goals: Sequence[Condition], budget: Budget | None = None) -> Clash | None:
    """Prove that conditions can never be true of one event.

    Args:
        goals: in normal form; all of them are asked of the same event.
        budget: MAX_STEPS of its own when None.

    Returns:
        Why not, or None when that is not proven.
    """
    try:
        return _Proof(budget or Budget()).refute(list(goals), {})
    except (TooLongError, RecursionError):
        return None


def implies_all(one: Condition, other: Condition, budget: Budget | None = None) -> bool:
    """Whether every event that meets one condition is proven to meet the other."""
    return refute([normal(one), normal(other, is_wanted=False)], budget) is not None


_Literal: TypeAlias = Match | Not
_Assumed: TypeAlias = dict[str, list[_Literal]]


class _Proof:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def refute(self, goals: list[Condition], assumed: _Assumed) -> Clash | None:
        choices: list[AnyOf] = []
        clash = self._assume(goals, assumed, choices)
        while clash is None:
            forced = self._forced(choices, assumed)
            if isinstance(forced, Clash):
                return forced
            if not forced:
                break
            clash = self._assume(forced, assumed, choices)
        if clash is not None or not choices:
            return clash
        return self._split(choices, assumed)

    def _assume(
        self, goals: list[Condition], assumed: _Assumed, choices: list[AnyOf]
    ) -> Clash | None:
        waiting = goals[::-1]
        while waiting:
            goal = waiting.pop()
            if isinstance(goal, AllOf):
                waiting += goal.parts[::-1]
            elif isinstance(goal, AnyOf):
                choices.append(goal)
            else:
                clash = self._clash(goal, assumed)
                if clash is not None:
                    return clash
                assumed.setdefault(_match(goal).field, []).append(goal)
        return None

    def _forced(self, choices: list[AnyOf], assumed: _Assumed) -> list[Condition] | Clash:
        """Drop what cannot be chosen or need not; gives what has only one way left."""
        forced: list[Condition] = []
        open_choices: list[AnyOf] = []
        for choice in choices:
            if any(self._is_given(part, assumed) for part in choice.parts):
                continue
            live: list[Condition] = []
            clash: Clash | None = None
            for part in choice.parts:
                found = self._quick_clash(part, assumed)
                if found is None:
                    live.append(part)
                clash = clash or found
            if clash is not None and not live:
                return clash
            if len(live) == 1:
                forced.append(live[0])
            elif live:
                open_choices.append(AnyOf(tuple(live)) if clash else choice)
        choices[:] = open_choices
        return forced

    def _split(self, choices: list[AnyOf], assumed: _Assumed) -> Clash | None:
        first = min(choices, key=lambda choice: len(choice.parts))
        rest = [choice for choice in choices if choice is not first]
        clash: Clash | None = None
        for part in first.parts:
            copy = {field: list(literals) for field, literals in assumed.items()}
            clash = self.refute([part, *rest], copy)
            if clash is None:
                return None
        return clash

    def _quick_clash(self, part: Condition, assumed: _Assumed) -> Clash | None:
        """A clash with what is assumed, without making further choices."""
        match part:
            case Match() | Not():
                return self._clash(part, assumed)
            case AllOf():
                found = (self._quick_clash(inner, assumed) for inner in part.parts)
                return next((clash for clash in found if clash is not None), None)
            case AnyOf():
                clashes = [self._quick_clash(inner, assumed) for inner in part.parts]
                return clashes[0] if clashes and all(clashes) else None
            case _:
                assert_never(part)

    def _clash(self, literal: _Literal, assumed: _Assumed) -> Clash | None:
        match = _match(literal)
        for known in assumed.get(match.field, ()):
            self._budget.spend()
            if _are_contrary(literal, known):
                return Clash(match, _match(known))
        return None

    def _is_given(self, part: Condition, assumed: _Assumed) -> bool:
        if isinstance(part, AllOf | AnyOf):
            return False
        for known in assumed.get(_match(part).field, ()):
            self._budget.spend()
            if _follows(known, part):
                return True
        return False


def _match(literal: Condition) -> Match:
    if isinstance(literal, Not):
        return _match(literal.part)
    if isinstance(literal, Match):
        return literal
    raise TypeError(f"expected a comparison or its negation, got {type(literal).__name__}")


def _are_contrary(one: _Literal, other: _Literal) -> bool:
    match (one, other):
        case (Match(), Match()):
            return excludes(one, other)
        case (Match(), Not()):
            return implies(one, _match(other))
        case (Not(), Match()):
            return implies(other, _match(one))
        case _:
            return False


def _follows(known: _Literal, wanted: Condition) -> bool:
    match (known, wanted):
        case (Match(), Match()):
            return implies(known, wanted)
        case (Not(), Not()):
            return implies(_match(wanted), _match(known))
        case (Match(), Not()):
            return excludes(known, _match(wanted))
        case _:
            return False


def literals(condition: Condition) -> Iterable[Match]:
    """The comparisons of a condition, in order."""
    match condition:
        case Match():
            yield condition
        case Not():
            yield from literals(condition.part)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from literals(part)
        case _:
            assert_never(condition)
