"""Whether each rule has samples, and whether they can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette.cli._diagnostic import Diagnostic, split_place
from vedette.cli._lint_between import Linted
from vedette.cli._lint_clauses import known_fields
from vedette.cli._lint_codes import diagnose
from vedette.cli._lint_metadata import is_detection
from vedette.cli._sample_file import SampleEvent, read_samples, sample_files
from vedette.cli._sigma_document import Document
from vedette.core.condition import FIELD_ALIASES
from vedette.errors import RuleError

_ALIASES = frozenset(FIELD_ALIASES.values())


def check_samples(documents: Sequence[Document], rules: Sequence[Linted]) -> Iterator[Diagnostic]:
    """Look for NAME.match.yml and NAME.nomatch.yml beside each NAME.yml, and into them."""
    by_file: dict[Path, list[Document]] = {}
    for document in documents:
        if "filter" not in document.value:
            by_file.setdefault(document.file, []).append(document)
    for file, inside in by_file.items():
        for kind, code in (("match", "VR401"), ("nomatch", "VR402")):
            if not file.with_suffix(f".{kind}.yml").exists():
                message = f"expected {file.with_suffix('').name}.{kind}.yml beside it, found none"
                yield diagnose(code, file, inside[0].place("title"), message)
        categories = [linted.rule.category for linted in rules if linted.document.file == file]
        yield from _check_files(file, categories, is_plain=all(map(is_detection, inside)))


def _check_files(file: Path, categories: Sequence[str], *, is_plain: bool) -> Iterator[Diagnostic]:
    for sample_file, _ in sample_files(file):
        try:
            samples = read_samples(sample_file)
        except RuleError as error:
            line, column, message = split_place(sample_file, str(error))
            yield diagnose("VR403", sample_file, (line, column), message)
            continue
        for event in (event for sample in samples for event in sample.events):
            yield from _check_event(sample_file, event, categories if is_plain else ())


def _check_event(file: Path, event: SampleEvent, categories: Sequence[str]) -> Iterator[Diagnostic]:
    """Only where the event's category, or that of its rule, is known and has fields."""
    asked = [event.category] if event.category else list(dict.fromkeys(categories))
    known = [known_fields(category) or frozenset() for category in asked]
    if not known or not all(known):
        return
    for name in sorted(event.fields.keys() - frozenset[str]().union(*known, _ALIASES)):
        message = f"events of {', '.join(asked)} have no field {name}"
        yield diagnose("VR404", file, (event.line, 1), message)
