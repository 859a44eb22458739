"""What changed between two sets of rules, and whether a changed rule matches more or less."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, assert_never

from vedette.cli._lint_clauses import shown
from vedette.cli._refutation import implies_all
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Correlation, Exclusion, Match, Not
from vedette.model.rule import Rule as DetectionRule

Entry: TypeAlias = DetectionRule | Correlation | Exclusion
Effect: TypeAlias = Literal["the same events", "fewer events", "more events", "other events", ""]


class FieldChange(NamedTuple):
    """One property that is not as it was."""

    name: str
    old: str
    new: str


class EntryChange(NamedTuple):
    """One rule, correlation or filter that is in both sets and differs.

    Attributes:
        clauses: lines of the condition as text, each with "- ", "+ " or "  " in front; () when
            the condition is as it was.
        effect: what the new condition matches, as far as it is proven: "other events" says no more
            than that neither direction is.
    """

    entry_id: str
    title: str
    kind: str
    fields: tuple[FieldChange, ...]
    clauses: tuple[str, ...]
    effect: Effect


class SetChange(NamedTuple):
    """All that differs; what both have in the same form is not named."""

    head: tuple[FieldChange, ...]
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    changed: tuple[EntryChange, ...]

    def __bool__(self) -> bool:
        return bool(self.head or self.added or self.removed or self.changed)


def compare(old: Bundle, new: Bundle, *, are_signed: bool) -> SetChange:
    """Compare two sets by the ids of what they hold.

    Args:
        old: the set before.
        new: the set after.
        are_signed: whether name, counter and dates mean anything.
    """
    before, after = _entries(old), _entries(new)
    both = [entry_id for entry_id in after if entry_id in before]
    changed = [_changed(before[entry_id], after[entry_id]) for entry_id in both]
    return SetChange(
        head=tuple(_head(old, new, are_signed=are_signed)),
        added=tuple(entry for entry_id, entry in after.items() if entry_id not in before),
        removed=tuple(entry for entry_id, entry in before.items() if entry_id not in after),
        changed=tuple(change for change in changed if change is not None),
    )


def identity(entry: Entry) -> str:
    """The id of a rule, correlation or filter."""
    return entry.filter_id if isinstance(entry, Exclusion) else entry.rule_id


def kind_of(entry: Entry) -> str:
    """What it is, in a word."""
    match entry:
        case Exclusion():
            return "filter"
        case Correlation():
            return "correlation"
        case DetectionRule():
            return "rule"
        case _:
            assert_never(entry)


def level_of(entry: Entry) -> str:
    """The level's word, "" for a filter."""
    return "" if isinstance(entry, Exclusion) else entry.severity.name.lower()


def condition_lines(condition: Condition, depth: int = 0) -> Iterator[str]:
    """A condition as indented text, one comparison a line."""
    indent = "  " * depth
    match condition:
        case Match():
            yield indent + shown(condition) + (" (cased)" if condition.is_cased else "")
        case Not():
            yield f"{indent}not"
            yield from condition_lines(condition.part, depth + 1)
        case AllOf() | AnyOf():
            yield indent + ("all of" if isinstance(condition, AllOf) else "one of")
            for part in condition.parts:
                yield from condition_lines(part, depth + 1)
        case _:
            assert_never(condition)


def _entries(bundle: Bundle) -> dict[str, Entry]:
    entries: Sequence[Entry] = (*bundle.rules, *bundle.correlations, *bundle.exclusions)
    return {f"{kind_of(entry)} {identity(entry)}": entry for entry in entries}


def _head(old: Bundle, new: Bundle, *, are_signed: bool) -> Iterator[FieldChange]:
    names = ("name", "counter", "issued_s", "expires_s") if are_signed else ()
    for name in names:
        before, after = str(getattr(old, name)), str(getattr(new, name))
        if before != after:
            yield FieldChange(name, before, after)
    gone, come = (
        set(old.redactions) - set(new.redactions),
        set(new.redactions) - set(old.redactions),
    )
    if gone or come:
        yield FieldChange("redactions", ", ".join(sorted(gone)), ", ".join(sorted(come)))


def _changed(old: Entry, new: Entry) -> EntryChange | None:
    if old == new:
        return None
    fields = tuple(_field_changes(old, new))
    clauses: tuple[str, ...] = ()
    effect: Effect = ""
    before, after = getattr(old, "condition", None), getattr(new, "condition", None)
    if before is not None and after is not None and before != after:
        clauses, effect = tuple(_clause_changes(before, after)), _effect(before, after)
    return EntryChange(identity(new), new.title, kind_of(new), fields, clauses, effect)


def _field_changes(old: Entry, new: Entry) -> Iterator[FieldChange]:
    for field in dataclasses.fields(new):
        before, after = getattr(old, field.name, None), getattr(new, field.name, None)
        if before == after or field.name == "condition":
            continue
        if isinstance(before, tuple) and isinstance(after, tuple):
            gone = [item for item in before if item not in after]
            come = [item for item in after if item not in before]
            yield FieldChange(field.name, _words(gone), _words(come))
        else:
            yield FieldChange(_NAMES.get(field.name, field.name), _word(before), _word(after))


_NAMES: Mapping[str, str] = {"severity": "level"}


def _words(items: Sequence[object]) -> str:
    return ", ".join(map(_word, items))


def _word(value: object) -> str:
    if isinstance(value, Severity):
        return value.name.lower()
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _clause_changes(old: Condition, new: Condition) -> Iterator[str]:
    before, after = list(condition_lines(old)), list(condition_lines(new))
    for line in difflib.unified_diff(before, after, lineterm="", n=2):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[0]} {line[1:]}"


def _effect(old: Condition, new: Condition) -> Effect:
    is_narrower, is_wider = implies_all(new, old), implies_all(old, new)
    if is_narrower and is_wider:
        return "the same events"
    if is_narrower:
        return "fewer events"
    return "more events" if is_wider else "other events"
