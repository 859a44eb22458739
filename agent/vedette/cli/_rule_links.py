"""Joins documents that name each other: correlations and filters to the rules they are about.

Rule 1: one bad document stops no other: it becomes a line of `problems`.
Rule 2: what a correlation names is compiled before it, whatever the order of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vedette.cli._sigma_compiler import Compiled
from vedette.cli._sigma_condition import Placeholders
from vedette.cli._sigma_correlation import (
    CompiledCorrelation,
    Referred,
    compile_correlation,
    references,
)
from vedette.cli._sigma_document import Document
from vedette.cli._sigma_filter import CompiledFilter, compile_filter
from vedette.errors import RuleError


class Links:
    """Knows what can be named; takes documents in any order.

    Args:
        problems: gets one line for each document that cannot be used.
    """

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._known: dict[str, Referred] = {}
        self._owners: dict[str, Document] = {}
        self._told: dict[str, bool] = {}
        self.rules: dict[str, Compiled] = {}
        self.correlations: dict[str, CompiledCorrelation] = {}
        self.filters: list[CompiledFilter] = []

    def add_rule(self, compiled: Compiled) -> None:
        """Let a rule be named.

        Raises:
            RuleError: its id or name is another one's.
        """
        rule_id = compiled.rule.rule_id
        self._name(compiled.document, Referred(rule_id, compiled.rules))
        self.rules[rule_id] = compiled

    def add_correlations(self, documents: Sequence[Document]) -> None:
        """Compile correlations, what is named before what names it."""
        waiting = list(documents)
        while waiting:
            names = {name for document in waiting for name in _names_of(document)}
            ready = [one for one in waiting if not self._waits(one, names)]
            for document in ready or waiting:
                self._guarded(self._circle if not ready else self._correlate, document)
            waiting = [one for one in waiting if one not in ready] if ready else []

    def add_filters(self, documents: Sequence[Document], placeholders: Placeholders) -> None:
        """Compile filters, once all rules are known."""

        def add(document: Document) -> None:
            found = compile_filter(document, self._known, placeholders)
            self._claim(document, found.exclusions[0].filter_id)
            self.filters.append(found)

        for document in documents:
            self._guarded(add, document)

    def finish(self) -> None:
        """Silence what only feeds correlations (see _sigma_correlation, rule 3)."""
        for rule_id, is_told in self._told.items():
            if is_told:
                continue
            if rule_id in self.rules:
                compiled = self.rules[rule_id]
                rule, *others = (replace(part, is_reported=False) for part in compiled.rules)
                self.rules[rule_id] = compiled._replace(rule=rule, others=tuple(others))
            else:
                found = self.correlations[rule_id]
                silent = replace(found.correlation, is_reported=False)
                self.correlations[rule_id] = found._replace(correlation=silent)

    def _guarded(self, add: Callable[[Document], None], document: Document) -> None:
        try:
            add(document)
        except RuleError as error:
            self._problems.append(str(error))

    def _correlate(self, document: Document) -> None:
        found = compile_correlation(document, self._known)
        correlation = found.correlation
        self._name(document, Referred(correlation.rule_id, ()))
        self.correlations[correlation.rule_id] = found
        for rule_id in correlation.rules:
            self._told[rule_id] = self._told.get(rule_id, False) or found.generates

    def _circle(self, document: Document) -> None:
        document.refuse(
            "expected correlations that do not go in circles, got one that waits for itself",
            ("correlation", "rules"),
        )

    def _waits(self, document: Document, names: set[str]) -> bool:
        try:
            return any(name in names for name in references(document))
        except RuleError:
            return False  # said when it is compiled

    def _name(self, document: Document, one: Referred) -> None:
        self._claim(document, one.rule_id)
        name = document.value.get("name")
        if isinstance(name, str) and name != one.rule_id:
            self._claim(document, name, "name")
            self._known[name] = one
        self._known[one.rule_id] = one

    def _claim(self, document: Document, name: str, what: str = "id") -> None:
        owner = self._owners.setdefault(name, document)
        if owner is not document:
            document.refuse(f"expected {what} to be its own, got that of {owner.file}", what)


def _names_of(document: Document) -> list[str]:
    return [name for key in ("id", "name") if isinstance(name := document.value.get(key), str)]
