"""The linter: gives each document of a set of files to the checks, and all of them together.

Rule: nothing that can stand in a file makes it fail: what cannot be read or compiled is a
diagnostic with its place, and the rest is looked at.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.cli._diagnostic import Diagnostic, in_order, split_place
from vedette.cli._lint_between import Linted, check_between, check_names
from vedette.cli._lint_clauses import ClauseLinter, check_selections
from vedette.cli._lint_codes import diagnose
from vedette.cli._lint_metadata import check_metadata, is_detection, is_uuid, text_of
from vedette.cli._lint_samples import check_samples
from vedette.cli._rule_folder import NAMED_FILES, Collected, collect, rule_files
from vedette.cli._sigma_compiler import Compiled, compile_rule
from vedette.cli._sigma_document import Document, load
from vedette.errors import RuleError
from vedette.model.finding import Severity

_ALLOW = re.compile(r"#\s*lint:\s*allow\s+((?:VR\d+[\s,]*)+)")
_CODE = re.compile(r"VR\d+")
_PATTERN_CODES = {
    "endless repetition inside": "VR004",
    "expected a pattern that takes less than": "VR005",
    "expected a regular expression that": "VR003",
}


class Linting(NamedTuple):
    """What was found, by file and place, and how many rules were looked at."""

    found: list[Diagnostic]
    rules: int


def lint(sources: Iterable[Path], ignored: frozenset[str] = frozenset()) -> Linting:
    """Look at all rules of files and folders.

    Args:
        sources: files and folders.
        ignored: codes of which nothing is said.

    Raises:
        RuleError: a source does not exist.
        DeviceError: a library of the operator's side is not installed.
    """
    files = list(rule_files(sources))
    documents: list[Document] = []
    found: list[Diagnostic] = []
    for file in files:
        try:
            documents += load(file) if file.name not in NAMED_FILES else []
        except RuleError as error:
            line, column, message = split_place(file, str(error))
            found.append(diagnose("VR001", file, (line, column), message))
    collected = collect(files)
    compiled = {_key(one.document): one for one in collected.compiled}
    rules = [
        linted
        for document in documents
        for linted in _check_document(document, compiled.get(_key(document)), found)
    ]
    found += check_names(documents)
    found += check_between(rules)
    found += _check_others(collected, files, documents)
    found += check_samples(documents, rules)
    allowed = {file: _allowed(file) for file in files}
    kept = [one for one in found if one.code not in ignored | allowed.get(one.file, frozenset())]
    return Linting(in_order(kept), len(documents))


def _key(document: Document) -> tuple[Path, int]:
    return document.file, _first_line(document)


def _check_document(
    document: Document, compiled: Compiled | None, found: list[Diagnostic]
) -> Iterator[Linted]:
    found += check_metadata(document)
    if not is_detection(document):
        return
    try:
        compiled = compiled or compile_rule(_completed(document))
    except RuleError as error:
        found += [_refused(document.file, str(error)), *check_selections(document)]
        return
    found += check_selections(document)
    for missing in compiled.missing:
        message = f"no sensor sees {missing}: that part never matches"
        found.append(diagnose("VR104", document.file, document.place("logsource"), message))
    for rule in compiled.rules:
        said = ClauseLinter(document, rule).check()
        found += [one for one in said if not (compiled.missing and one.code == "VR104")]
        yield Linted(document, rule)


def _completed(document: Document) -> Document:
    """With all that a rule must say of itself, so that its clauses are looked at all the same."""
    value = dict(document.value)
    for name in ("title", "author"):
        value[name] = text_of(value, name) or name
    if not is_uuid(text_of(value, "id")):
        value["id"] = str(uuid.UUID(int=0))
    if value.get("level") not in [level.name.lower() for level in Severity]:
        value["level"] = "high"
    if not isinstance(value.get("tags") or [], list):
        value["tags"] = []
    return document._replace(value=value)


def _refused(file: Path, text: str) -> Diagnostic:
    line, column, message = split_place(file, text)
    code = next((code for words, code in _PATTERN_CODES.items() if words in message), "VR002")
    return diagnose(code, file, (line, column), message)


def _check_others(
    collected: Collected, files: Sequence[Path], documents: Sequence[Document]
) -> Iterator[Diagnostic]:
    """What the compiler says of correlations, filters, redactions and placeholders."""
    others = [document for document in documents if not is_detection(document)]
    wanted = {document.file for document in others}
    wanted |= {file for file in files if file.name in NAMED_FILES}
    for problem in collected.problems:
        file = next((one for one in wanted if problem.startswith(f"{one}:")), None)
        diagnostic = _refused(file, problem) if file is not None else None
        if diagnostic is not None and (
            diagnostic.file.name in NAMED_FILES or _holds(others, documents, diagnostic)
        ):
            yield diagnostic
    for document, warnings in (
        *((one.document, one.warnings) for one in collected.correlations),
        *((one.document, one.warnings) for one in collected.filters),
    ):
        for warning in warnings:
            line, column, message = split_place(document.file, warning)
            yield diagnose("VR103", document.file, (line, column), message)


def _holds(
    others: Sequence[Document], documents: Sequence[Document], diagnostic: Diagnostic
) -> bool:
    """Whether a diagnostic stands in one of some documents, of all there are."""
    before = [
        document
        for document in documents
        if document.file == diagnostic.file and _first_line(document) <= diagnostic.line
    ]
    return bool(before) and before[-1] in others


def _first_line(document: Document) -> int:
    return document.keys[0].line if document.keys else 1


def _allowed(file: Path) -> frozenset[str]:
    """The codes that a file's comments allow."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return frozenset()
    return frozenset(code for found in _ALLOW.findall(text) for code in _CODE.findall(found))
