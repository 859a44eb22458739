"""As many different rules as are wanted: those at hand, then rotations of their literals.

Rule 1: a rotated rule asks for words that no device says, of the length and shape of those it was
made from: letters are moved, vowels to vowels, so that a literal's bytes stay as common as they
were. Two rules in three name another program as well; the third asks the same program for other
arguments, as families of real rules do.
Rule 2: the same for the same rules and count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from random import Random

from vedette.cli._rule_folder import collect
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Rule

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpora" / "sigma-linux"
OURS = ROOT / "rules"

_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_LITERAL = frozenset(("equals", "contains", "startswith", "endswith", "glob"))
_SAME_PROGRAM = 3


def at_hand() -> tuple[str, tuple[Rule, ...]]:
    """SigmaHQ's Linux rules where they are at hand, else ours; with their name."""
    if CORPUS.exists():
        return "SigmaHQ's Linux rules", _compiled(CORPUS)
    return "our rules", _compiled(OURS)


def scaled(rules: Sequence[Rule], wanted: int) -> tuple[Rule, ...]:
    """So many rules, the given ones first."""
    return tuple(islice(_endless(rules), wanted))


def _compiled(folder: Path) -> tuple[Rule, ...]:
    """In a random order that is always the same, so that the first ones are as mixed as all."""
    rules = [found.rule for found in collect([folder]).compiled]
    Random(17).shuffle(rules)
    return tuple(rules)


def _endless(rules: Sequence[Rule]) -> Iterator[Rule]:
    yield from rules
    for turn in count(1):
        for number, rule in enumerate(rules):
            keeps_program = (turn + number) % _SAME_PROGRAM == 0
            condition = _rotated(rule.condition, turn, keeps_program=keeps_program)
            yield replace(
                rule,
                rule_id=f"{rule.rule_id}-{turn}",
                title=f"{rule.title} ({turn})",
                condition=condition,
            )


def _rotated(condition: Condition, turn: int, *, keeps_program: bool) -> Condition:
    match condition:
        case Match():
            is_kept = keeps_program and condition.field.endswith("Image")
            if is_kept or condition.operator not in _LITERAL:
                return (
                    _rotated_pattern(condition, turn) if condition.operator == "re" else condition
                )
            return condition._replace(value=_moved(condition.value, turn))
        case Not():
            return Not(_rotated(condition.part, turn, keeps_program=keeps_program))
        case AllOf():
            return AllOf(
                tuple(_rotated(part, turn, keeps_program=keeps_program) for part in condition.parts)
            )
        case AnyOf():
            return AnyOf(
                tuple(_rotated(part, turn, keeps_program=keeps_program) for part in condition.parts)
            )


def _rotated_pattern(match: Match, turn: int) -> Match:
    """Only the gate's word is moved, and where the pattern says it: classes and escapes stay."""
    moved = _moved(match.gate, turn)
    if not match.gate or match.gate not in match.value:
        return match
    return match._replace(value=match.value.replace(match.gate, re.escape(moved)), gate=moved)


def _moved(text: str, turn: int) -> str:
    table = {}
    for letters in (_VOWELS, _CONSONANTS):
        for letters_cased in (letters, letters.upper()):
            shift = turn % len(letters)
            table.update(
                str.maketrans(letters_cased, letters_cased[shift:] + letters_cased[:shift])
            )
    return text.translate(table)
