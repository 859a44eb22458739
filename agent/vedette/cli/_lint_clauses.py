"""Clauses that do not do what they seem to: never met, without effect, or met by everything.

Rule: what is said to be impossible is proven (_refutation.py); what is not proven is not said.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from vedette.cli._clause_logic import implies
from vedette.cli._clause_places import ClausePlaces
from vedette.cli._diagnostic import Diagnostic
from vedette.cli._event_fields import EVENT_FIELDS, fields_of_category
from vedette.cli._field_domains import DOMAINS, why_never
from vedette.cli._lint_codes import diagnose
from vedette.cli._refutation import Budget, Clash, literals, normal, refute
from vedette.cli._sigma_document import Document
from vedette.codec.text import shorten
from vedette.core.triggers import trigger
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Rule

MAX_ALTERNATIVES = 500
"""Ours: values of one list that are compared with each other."""

MAX_STEPS = 200_000
"""Ours: comparisons for all proofs about one rule, about 0.4 s; what is beyond is not proven."""

_SERVICE = "service:"
_WORD = re.compile(r"[\w*]+")
_CLOSE = 0.6


def known_fields(category: str) -> frozenset[str] | None:
    """The fields events of a category have, None where there is no such category."""
    return fields_of_category(category) or None


class ClauseLinter:
    """Looks at the detection of one rule that compiles."""

    def __init__(self, document: Document, rule: Rule) -> None:
        self._document = document
        self._rule = rule
        self._places = ClausePlaces(document)
        self._whole = normal(rule.condition)
        self._budget = Budget(MAX_STEPS)

    def check(self) -> Iterator[Diagnostic]:
        """All that is to be said about its clauses."""
        yield from self._check_source()
        yield from self._check_fields()
        clash = refute([self._whole], self._budget)
        if clash is not None:
            place = self._place(clash.one)
            message = f"no event can ever match: {_reason(clash)}"
            yield diagnose("VR101", self._document.file, place, message)
            return
        yield from self._check_parts(self._whole, [])
        yield from self._check_covered(self._whole)
        if trigger(self._rule.condition) is None:
            yield self._at_detection("VR109", "no clause has to be met by every match")

    def _check_source(self) -> Iterator[Diagnostic]:
        category = self._rule.category
        if known_fields(category) is None:
            names = [name for name in EVENT_FIELDS if not name.startswith(_SERVICE)]
            message = f"no sensor gives events of category {category}{_meant(category, names)}"
            place = self._document.place("logsource")
            yield diagnose("VR104", self._document.file, place, message)

    def _check_fields(self) -> Iterator[Diagnostic]:
        known = known_fields(self._rule.category)
        for match in dict.fromkeys(literals(self._rule.condition)):
            if known is not None and match.field and match.field not in known:
                hint = _meant(match.field, sorted(known)) or f": it has {', '.join(sorted(known))}"
                message = f"{self._rule.category} has no field {match.field}{hint}"
                yield diagnose("VR103", self._document.file, self._place(match), message)
                continue
            why = why_never(match)
            if why:
                message = f"{shown(match)} is never met: {why}{_meant_word(match)}"
                yield diagnose("VR105", self._document.file, self._place(match), message)

    def _check_parts(self, condition: Condition, beside: list[Condition]) -> Iterator[Diagnostic]:
        """Ask of each alternative and exclusion whether it can matter beside all else."""
        if isinstance(condition, AllOf):
            for number, part in enumerate(condition.parts):
                others = [*condition.parts[:number], *condition.parts[number + 1 :]]
                rest = [*beside, *others]
                if _is_exclusion(part):
                    yield from self._check_exclusion(part, rest)
                else:
                    yield from self._check_parts(part, rest)
        elif isinstance(condition, AnyOf):
            for part in condition.parts:
                clash = refute([*beside, part], self._budget)
                if clash is not None:
                    yield self._dead(part, clash)
                elif isinstance(part, AllOf):
                    yield from self._check_parts(part, beside)

    def _dead(self, part: Condition, clash: Clash) -> Diagnostic:
        first = next(iter(literals(part)), clash.one)
        message = f"{shown(first)} can never be what makes it match: {_reason(clash)}"
        return diagnose("VR102", self._document.file, self._place(first), message)

    def _check_exclusion(self, part: Condition, rest: list[Condition]) -> Iterator[Diagnostic]:
        clash = refute([*rest, normal(part, is_wanted=False)], self._budget)
        if clash is not None:
            first = next(iter(literals(part)))
            excluded = [other.part for other in rest if isinstance(other, Not)]
            wider = [one for one in excluded if isinstance(one, Match) and implies(first, one)]
            reason = f"{shown(wider[0])} excludes it already" if wider else _reason(clash)
            message = f"excluding {shown(first)} changes nothing: {reason}"
            yield diagnose("VR106", self._document.file, self._place(first), message)

    def _check_covered(self, condition: Condition) -> Iterator[Diagnostic]:
        if isinstance(condition, AnyOf):
            yield from self._check_alternatives(condition)
        if isinstance(condition, AllOf | AnyOf):
            for part in condition.parts:
                yield from self._check_covered(part)

    def _check_alternatives(self, condition: AnyOf) -> Iterator[Diagnostic]:
        by_field: dict[str, list[Match]] = {}
        for part in condition.parts:
            if isinstance(part, Match):
                by_field.setdefault(part.field, []).append(part)
        for matches in by_field.values():
            for match in matches[:MAX_ALTERNATIVES]:
                wider = _first_wider(match, matches[:MAX_ALTERNATIVES])
                if wider is not None:
                    message = f"{shown(match)} adds nothing: {shown(wider)} matches all of it"
                    yield diagnose("VR110", self._document.file, self._place(match), message)

    def _at_detection(self, code: str, message: str) -> Diagnostic:
        place = self._document.place("detection")
        return diagnose(code, self._document.file, place, message)

    def _place(self, match: Match) -> tuple[int, int]:
        place = self._places.of(match)
        return place.line, place.column


def check_selections(document: Document) -> Iterator[Diagnostic]:
    """Selections that no condition names, and lists without values."""
    detection = document.value.get("detection")
    if not isinstance(detection, dict):
        return
    conditions = detection.get("condition")
    texts = conditions if isinstance(conditions, list) else [conditions]
    words = {word for text in texts for word in _WORD.findall(str(text))}
    patterns = [re.escape(word).replace(r"\*", ".*") for word in words]
    for name in detection:
        is_used = "them" in words or any(re.fullmatch(found, str(name)) for found in patterns)
        if name != "condition" and not is_used:
            message = f"the condition does not speak of the selection {name}"
            yield diagnose("VR108", document.file, _key_place(document, (str(name),)), message)
    for key in document.keys:
        if key.path[:1] == ("detection",) and _below(document.value, key.path) == []:
            message = f"expected values for {key.path[-1]}, got an empty list"
            yield diagnose("VR107", document.file, (key.line, key.column), message)


def shown(match: Match) -> str:
    """A comparison in the words of a rule: Image|endswith '/sh'."""
    operator = "" if match.operator == "equals" else f"|{match.operator}"
    if match.operator == "null":
        return f"{match.field}: null"
    return f"{match.field or 'keyword'}{operator} {shorten(match.value, 60)!r}"


def _reason(clash: Clash) -> str:
    if clash.one == clash.other:
        return f"{shown(clash.one)} is asked for and excluded"
    if implies(clash.one, clash.other):
        return f"what meets {shown(clash.one)} meets {shown(clash.other)}, which is excluded"
    if implies(clash.other, clash.one):
        return f"what meets {shown(clash.other)} meets {shown(clash.one)}, which is excluded"
    return f"{shown(clash.one)} and {shown(clash.other)} contradict each other"


def _is_exclusion(part: Condition) -> bool:
    """Whether it was a `not`: all of its comparisons are negated."""
    match part:
        case Not():
            return True
        case AllOf() | AnyOf():
            return all(map(_is_exclusion, part.parts))
        case _:
            return False


def _first_wider(match: Match, others: Sequence[Match]) -> Match | None:
    """Another one that covers it; of two that mean the same the first one stays."""
    for other in others:
        if other == match:
            continue
        if implies(match, other) and not (
            implies(other, match) and others.index(match) < others.index(other)
        ):
            return other
    return None


def _meant(word: str, known: Sequence[str]) -> str:
    by_fold = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(by_fold), n=1, cutoff=_CLOSE)
    return f': did you mean "{by_fold[close[0]]}"?' if close else ""


def _meant_word(match: Match) -> str:
    domain = DOMAINS.get(match.field)
    if domain is None or not domain.words or match.operator != "equals":
        return ""
    return _meant(match.value, domain.words)


def _key_place(document: Document, names: tuple[str, ...]) -> tuple[int, int]:
    for key in document.keys:
        if key.path == ("detection", *names):
            return key.line, key.column
    return document.place("detection")


def _below(value: object, path: Sequence[str]) -> object:
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
