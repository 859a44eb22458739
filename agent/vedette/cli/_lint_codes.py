"""The linter's codes: stable for ever, each with its level and what to do (docs/lint-codes.md).

Rule: VR0 the rule cannot be used, VR1 a clause does not do what it seems to, VR2 between rules, VR3
what a rule says of itself, VR4 samples. A code is never given a new meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.cli._diagnostic import Diagnostic, Level

ERROR, WARNING, NOTE = Level.ERROR, Level.WARNING, Level.NOTE


class Code(NamedTuple):
    """What a code means, in a few words, and what to do about it."""

    level: Level
    meaning: str
    advice: str


CODES: Mapping[str, Code] = {
    "VR001": Code(
        ERROR,
        "the file is no YAML of rules",
        "mend the file; `vedette rules build` leaves it out",
    ),
    "VR002": Code(
        ERROR,
        "the rule does not compile",
        "mend it; `vedette rules build` leaves it out",
    ),
    "VR003": Code(
        ERROR,
        "a regular expression that RE2 or Python refuses",
        "use neither look-around nor back-references nor possessive repetitions",
    ),
    "VR004": Code(
        ERROR,
        "an endless repetition inside another one",
        "repeat a set of characters instead: [ab]+ for (a+|b+)+",
    ),
    "VR005": Code(
        ERROR,
        "a regular expression that a hostile line holds up",
        "limit its repetitions, such as {0,40}, or make them start with what they cannot hold",
    ),
    "VR101": Code(
        ERROR,
        "the condition can never be true",
        "the two clauses named exclude each other: join them by `or`, or mend one",
    ),
    "VR102": Code(
        WARNING,
        "a value that is never met, given the other clauses",
        "mend the value or take it out",
    ),
    "VR103": Code(
        WARNING,
        "a field that events of this category do not have",
        "use a field of the category: agent/docs/fields.md",
    ),
    "VR104": Code(
        WARNING,
        "no sensor gives events of this log source",
        "see agent/docs/fields.md for the categories there are",
    ),
    "VR105": Code(
        WARNING,
        "a value that the field never holds",
        "write it as events have it: agent/docs/fields.md",
    ),
    "VR106": Code(
        WARNING,
        "an exclusion that excludes nothing",
        "its clauses contradict the rest of the condition: mend it or take it out",
    ),
    "VR107": Code(
        WARNING,
        "an empty list",
        "give it values or take the key out",
    ),
    "VR108": Code(
        WARNING,
        "a selection that the condition does not use",
        "name it in the condition or take it out",
    ),
    "VR109": Code(
        WARNING,
        "the rule is asked of every event of its category",
        "add a clause with a text of three characters or more that every match holds",
    ),
    "VR110": Code(
        NOTE,
        "a value that another one of the same list covers",
        "take it out: the other one matches all that it matches",
    ),
    "VR201": Code(
        WARNING,
        "another rule of the same or a higher level matches all that this one does",
        "make this rule narrower, or raise its level, or take it out",
    ),
    "VR202": Code(
        WARNING,
        "two rules with the same condition",
        "keep one of them",
    ),
    "VR203": Code(
        ERROR,
        "an id that another rule has",
        "give one of them a new id: `python3 -c 'import uuid; print(uuid.uuid4())'`",
    ),
    "VR204": Code(
        WARNING,
        "a title that another rule has",
        "people tell rules apart by their titles: change one",
    ),
    "VR301": Code(
        ERROR,
        "no id",
        "add one: `python3 -c 'import uuid; print(uuid.uuid4())'`",
    ),
    "VR302": Code(
        ERROR,
        "an id that is no UUID",
        "Sigma asks for a random UUID (version 4)",
    ),
    "VR303": Code(
        ERROR,
        "no author",
        "a finding must name the author (DRL 1.1)",
    ),
    "VR304": Code(
        ERROR,
        "no level, or an unknown one",
        "use informational, low, medium, high or critical",
    ),
    "VR305": Code(
        WARNING,
        "no tag of ATT&CK",
        "add tactic and technique, such as attack.persistence and attack.t1053.003",
    ),
    "VR306": Code(
        WARNING,
        "an unknown tag of ATT&CK",
        "see attack.mitre.org, or wait for an update of this list",
    ),
    "VR307": Code(
        ERROR,
        "no title, or a long one",
        "say in at most 256 characters what was done, since a person reads it first",
    ),
    "VR308": Code(
        NOTE,
        "no description",
        "say what it means when the rule matches, and why it is worth a look",
    ),
    "VR309": Code(
        NOTE,
        "no list of false positives",
        "name what harmless thing may match, or write `- Unlikely`",
    ),
    "VR310": Code(
        WARNING,
        "a key that Sigma does not know",
        "correct its name; a key of your own belongs below `custom`",
    ),
    "VR401": Code(
        WARNING,
        "no sample that must match",
        "write NAME.match.yml beside it",
    ),
    "VR402": Code(
        NOTE,
        "no sample that must not match",
        "write NAME.nomatch.yml: the harmless thing most like an attack",
    ),
    "VR403": Code(
        ERROR,
        "samples that cannot be read",
        "a list of mappings of field to value; agent/docs/writing-rules.md",
    ),
    "VR404": Code(
        WARNING,
        "a sample with a field that events do not have",
        "use a field of the category: agent/docs/fields.md",
    ),
}


def diagnose(
    code: str, file: Path, place: tuple[int, int], message: str, advice: str = ""
) -> Diagnostic:
    """A diagnostic with the level and, unless another one fits better, the advice of its code."""
    known = CODES[code]
    return Diagnostic(file, *place, code, known.level, message, advice or known.advice)
