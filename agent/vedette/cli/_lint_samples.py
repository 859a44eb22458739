"""Whether each rule has samples, and whether they can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette.cli._diagnostic import Diagnostic, split_place
from vedette.cli._lint_between import Linted
from vedette.cli._lint_clauses import known_fields
from vedette.cli._lint_codes import diagnose
from vedette.cli._lint_metadata import is_detection
from vedette.cli._sigma_document import Document, load_list
from vedette.core.condition import FIELD_ALIASES
from vedette.errors import RuleError


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
        if all(map(is_detection, inside)):
            categories = [linted.rule.category for linted in rules if linted.document.file == file]
            yield from _check_fields(file, categories)


def _check_fields(file: Path, categories: Sequence[str]) -> Iterator[Diagnostic]:
    known = [known_fields(category) for category in categories]
    names = frozenset[str]().union(*(fields for fields in known if fields is not None))
    names |= {"category", *FIELD_ALIASES.values()}
    for kind in ("match", "nomatch"):
        sample = file.with_suffix(f".{kind}.yml")
        try:
            items = load_list(sample) if sample.exists() else []
        except RuleError as error:
            line, column, message = split_place(sample, str(error))
            yield diagnose("VR403", sample, (line, column), message)
            continue
        for item in items if len(names) > 1 + len(FIELD_ALIASES) else []:
            for name in item.value.keys() - names:
                message = f"events of {', '.join(categories)} have no field {name}"
                if "category" not in item.value:
                    yield diagnose("VR404", sample, (item.line, 1), message)
