"""Runs the samples beside rules, correlations and filters, and says why each went as it did.

Rule: a sample runs through the engine and the correlator that a device runs, never through the
explanation; what is explained is the same condition, asked clause by clause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.cli._clause_places import ClausePlaces, Place
from vedette.cli._rule_folder import Collected
from vedette.cli._sample_file import Sample, SampleEvent, read_samples, sample_files
from vedette.cli._sample_reasons import Clause, explain
from vedette.cli._sample_sequences import run_sequence
from vedette.cli._sigma_compiler import Compiled
from vedette.cli._sigma_correlation import CompiledCorrelation
from vedette.cli._sigma_filter import CompiledFilter
from vedette.core.condition import compile_condition, view
from vedette.core.engine import Engine
from vedette.errors import RuleError
from vedette.model.rule import Bundle, Rule


class Outcome(NamedTuple):
    """How one sample went.

    Attributes:
        place: file:line of the sample.
        title: of the rule, correlation or filter it was for.
        name: of the sample, "" where it has none.
        is_expected: whether the rule did what the sample's file says.
        reasons: which comparisons were met, or which were not, one line each.
        clauses: the same for programs; () for a sequence.
    """

    place: str
    title: str
    name: str
    is_met: bool
    is_expected: bool
    reasons: tuple[str, ...]
    clauses: tuple[Mapping[str, object], ...] = ()


class Subjects(NamedTuple):
    """What of one file samples can be for."""

    file: Path
    rules: tuple[Compiled, ...]
    correlations: tuple[CompiledCorrelation, ...] = ()
    filters: tuple[CompiledFilter, ...] = ()

    @property
    def title(self) -> str:
        """Of the first one that people see."""
        if self.correlations:
            return self.correlations[-1].correlation.title
        return self.rules[0].rule.title if self.rules else self.filters[0].exclusions[0].title


def run_samples(compiled: Compiled) -> Iterator[Outcome]:
    """Run the samples of one rule; nothing comes when there are none.

    Raises:
        RuleError: a file of samples cannot be used.
    """
    empty = Bundle("samples", 0, 0, 0, compiled.rules, (), "")
    yield from run_file(Subjects(compiled.document.file, (compiled,)), empty)


def subjects(collected: Collected) -> list[Subjects]:
    """What was compiled, by file."""
    files = dict.fromkeys(
        one.file
        for one in (
            *(rule.document for rule in collected.compiled),
            *(correlation.document for correlation in collected.correlations),
            *(found.document for found in collected.filters),
        )
    )
    return [
        Subjects(
            file,
            tuple(one for one in collected.compiled if one.document.file == file),
            tuple(one for one in collected.correlations if one.document.file == file),
            tuple(one for one in collected.filters if one.document.file == file),
        )
        for file in files
    ]


def run_file(of: Subjects, bundle: Bundle) -> Iterator[Outcome]:
    """Run the samples beside one file.

    Args:
        of: what the file holds.
        bundle: all rules there are, for correlations that speak of other files.

    Raises:
        RuleError: a file of samples cannot be used.
    """
    for file, is_wanted in sample_files(of.file):
        for sample in read_samples(file):
            yield _run(of, bundle, sample, is_wanted=is_wanted)


def _run(of: Subjects, bundle: Bundle, sample: Sample, *, is_wanted: bool) -> Outcome:
    if sample.is_sequence or not (of.rules or of.filters):
        correlation = chosen(of, sample).correlation
        found = run_sequence(bundle, correlation, sample)
        is_expected = found.is_met == is_wanted
        return Outcome(
            sample.place, correlation.title, sample.name, found.is_met, is_expected, found.reasons
        )
    if of.rules:
        return _run_rules(of.rules, sample, is_wanted=is_wanted)
    return _run_filters(of.filters, sample, is_wanted=is_wanted)


def chosen(of: Subjects, sample: Sample) -> CompiledCorrelation:
    """The correlation that a sequence is for: the one it names, or the last of the file.

    Raises:
        RuleError: the file has none, or none of that name.
    """
    for one in of.correlations:
        names = (one.correlation.rule_id, one.correlation.title, one.document.value.get("name"))
        if sample.rule in names:
            return one
    if sample.rule or not of.correlations:
        wanted = repr(sample.rule) if sample.rule else "a correlation, since this is a sequence"
        raise RuleError(f"{sample.place}:1: expected {wanted} in {of.file}, found none")
    return of.correlations[-1]


def _run_rules(rules: Sequence[Compiled], sample: Sample, *, is_wanted: bool) -> Outcome:
    event = sample.events[0]
    tried = [
        (_is_matched(rule, event), compiled, rule) for compiled in rules for rule in compiled.rules
    ]
    is_met, compiled, rule = next((one for one in tried if one[0]), tried[0])
    candidates = [one for one in tried if event.category in ("", one[2].category)]
    explained = [
        (explain(one.condition, event.fields), document.document, one)
        for was_met, document, one in candidates
        if was_met == is_met
    ]
    clauses, document, rule = min(
        explained, key=lambda one: len(one[0]), default=([], compiled.document, rule)
    )
    places = ClausePlaces(document)
    placed = [(clause, places.of(clause.match)) for clause in clauses]
    return Outcome(
        place=sample.place,
        title=rule.title,
        name=sample.name,
        is_met=is_met,
        is_expected=is_met == is_wanted,
        reasons=tuple(_sentence(clause, place) for clause, place in placed)
        or (_other_category(event, rule),),
        clauses=tuple(_for_programs(clause, place) for clause, place in placed),
    )


def _is_matched(rule: Rule, event: SampleEvent) -> bool:
    engine = Engine(Bundle("samples", 0, 0, 0, (rule,), (), ""), memo=0)
    return bool(engine.match(event.category or rule.category, event.fields))


def _run_filters(filters: Sequence[CompiledFilter], sample: Sample, *, is_wanted: bool) -> Outcome:
    event = sample.events[0]
    exclusions = [exclusion for one in filters for exclusion in one.exclusions]
    asked = [one for one in exclusions if event.category in ("", one.category)]
    met = [one for one in asked if compile_condition(one.condition)(view(event.fields))]
    shown = [explain(one.condition, event.fields) for one in (met or asked)]
    reasons = tuple(clause.sentence for clause in min(shown, key=len, default=[]))
    return Outcome(
        sample.place, exclusions[0].title, sample.name, bool(met), bool(met) == is_wanted, reasons
    )


def _sentence(clause: Clause, at: Place) -> str:
    where = f"{at.selection}, line {at.line}" if at.selection else f"line {at.line}"
    return f"{clause.sentence} ({where})"


def _other_category(event: SampleEvent, rule: Rule) -> str:
    return f"expected category {rule.category}, got {event.category}"


def _for_programs(clause: Clause, at: Place) -> Mapping[str, object]:
    return {
        "field": clause.match.field,
        "operator": clause.match.operator,
        "value": clause.match.value,
        "is_excluding": clause.is_excluding,
        "is_met": clause.is_met,
        "found": list(clause.values),
        "selection": at.selection,
        "line": at.line,
        "column": at.column,
    }
