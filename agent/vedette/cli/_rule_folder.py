"""Finds and compiles the rules of files and folders, and seals them into a signed bundle.

Rule 1: one bad rule stops no other: it becomes a line of `problems` and the rest is compiled.
Rule 2: beside a rule NAME.yml may stand NAME.match.yml and NAME.nomatch.yml (its samples), and a
folder may hold redactions.yml and placeholders.yml (values for |expand); these are no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.cli import _sigma_regex
from vedette.cli._rule_links import Links
from vedette.cli._sigma_compiler import Compiled, compile_rule
from vedette.cli._sigma_condition import Placeholders
from vedette.cli._sigma_correlation import CompiledCorrelation
from vedette.cli._sigma_document import Document, Key, load
from vedette.cli._sigma_filter import CompiledFilter
from vedette.cli._signing import sealed
from vedette.codec import bundle as bundle_codec
from vedette.errors import RuleError
from vedette.model.rule import Bundle
from vedette.trust.ed25519 import Ed25519Signer

REDACTIONS = "redactions.yml"
PLACEHOLDERS = "placeholders.yml"
NAMED_FILES = (REDACTIONS, PLACEHOLDERS)
"""Files of a folder of rules that hold none."""
_KINDS = ("correlation", "filter", "detection")
_SAMPLES = (".match.yml", ".nomatch.yml")
_SUFFIXES = (".yml", ".yaml")


class Collected(NamedTuple):
    """What files and folders hold.

    Attributes:
        problems: one line (file:line:column: message) for each document that cannot be used.
        correlations: what one names stands before it.
    """

    compiled: tuple[Compiled, ...]
    redactions: tuple[str, ...]
    problems: tuple[str, ...]
    correlations: tuple[CompiledCorrelation, ...] = ()
    filters: tuple[CompiledFilter, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What authors should know, one line each."""
        rules = (line for one in self.compiled for line in one.warnings)
        correlations = (line for one in self.correlations for line in one.warnings)
        return (*rules, *correlations, *(line for one in self.filters for line in one.warnings))

    def bundle(self, name: str, counter: int, issued_s: int, expires_s: int) -> Bundle:
        """All of it as a bundle, without a digest since nothing was encoded yet."""
        return Bundle(
            name=name,
            counter=counter,
            issued_s=issued_s,
            expires_s=expires_s,
            rules=tuple(rule for compiled in self.compiled for rule in compiled.rules),
            redactions=self.redactions,
            digest="",
            correlations=tuple(found.correlation for found in self.correlations),
            exclusions=tuple(part for found in self.filters for part in found.exclusions),
        )


def collect(sources: Iterable[Path]) -> Collected:
    """Compile all documents of files and folders, in the order of their names.

    Raises:
        RuleError: a source does not exist.
        DeviceError: a library of the operator's side is not installed.
    """
    problems: list[str] = []
    documents = _documents(sources, problems)
    placeholders = _placeholders(documents.pop(PLACEHOLDERS, []), problems)
    redactions = _redactions(documents.pop(REDACTIONS, []), problems)
    links = Links(problems)
    for document in documents["detection"]:
        try:
            links.add_rule(compile_rule(document, placeholders))
        except RuleError as error:
            problems.append(str(error))
    links.add_correlations(documents["correlation"])
    links.add_filters(documents["filter"], placeholders)
    links.finish()
    return Collected(
        compiled=tuple(links.rules.values()),
        redactions=redactions,
        problems=tuple(problems),
        correlations=tuple(links.correlations.values()),
        filters=tuple(links.filters),
    )


def rule_files(sources: Iterable[Path]) -> Iterator[Path]:
    """The files that hold rules or redactions.

    Raises:
        RuleError: a source does not exist.
    """
    for source in sources:
        if source.is_dir():
            found = sorted(path for path in source.rglob("*") if path.suffix in _SUFFIXES)
            yield from (path for path in found if not path.name.endswith(_SAMPLES))
        elif source.exists():
            yield source
        else:
            raise RuleError(f"{source}: expected a file or folder of rules, found none")


def seal(
    collected: Collected,
    signer: Ed25519Signer,
    *,
    name: str,
    counter: int,
    issued_s: int,
    expires_s: int,
) -> bytes:
    """A DSSE envelope with the bundle, signed.

    Args:
        collected: its problems are not looked at: what was refused is simply not inside.
        counter: above that of every bundle the devices have taken so far.
        issued_s: Unix time.
        expires_s: Unix time after which no device takes it for new.
    """
    payload = bundle_codec.encode(collected.bundle(name, counter, issued_s, expires_s))
    return sealed(bundle_codec.PAYLOAD_TYPE, payload, signer)


def _documents(sources: Iterable[Path], problems: list[str]) -> dict[str, list[Document]]:
    """Documents by kind: what their file is called, or what they hold."""
    found: dict[str, list[Document]] = {kind: [] for kind in (*NAMED_FILES, *_KINDS)}
    for file in rule_files(sources):
        try:
            for document in load(file):
                kind = file.name if file.name in NAMED_FILES else _kind(document)
                found[kind].append(document)
        except RuleError as error:
            problems.append(str(error))
    return found


def _kind(document: Document) -> str:
    return next((kind for kind in _KINDS if kind in document.value), "detection")


def _redactions(documents: Iterable[Document], problems: list[str]) -> tuple[str, ...]:
    patterns: list[str] = []
    for document in documents:
        try:
            patterns += _patterns(document)
        except RuleError as error:
            problems.append(str(error))
    return tuple(patterns)


def _patterns(document: Document) -> Sequence[str]:
    entries = document.value.get("redactions")
    if not isinstance(entries, list):
        document.refuse("expected a list named redactions", "redactions")
    patterns: list[str] = []
    for entry in entries:
        pattern = entry.get("pattern") if isinstance(entry, dict) else None
        if not isinstance(pattern, str):
            document.refuse("expected each redaction to have a text named pattern", "redactions")
        try:
            patterns.append(_sigma_regex.check(pattern).text)
        except RuleError as error:
            document.refuse(str(error), _key_of(document, pattern))
    return patterns


def _key_of(document: Document, pattern: str) -> Key | str:
    return next((key for key in document.keys if key.value == pattern), "redactions")


def _placeholders(documents: Iterable[Document], problems: list[str]) -> Placeholders:
    """Each document is a mapping of names to a text or a list of them."""
    values: dict[str, tuple[str, ...]] = {}
    for document in documents:
        for name, given in document.value.items():
            texts = given if isinstance(given, list) else [given]
            if texts and all(isinstance(text, (str, int)) for text in texts):
                values[name] = (*values.get(name, ()), *map(str, texts))
            else:
                problems.append(f"{document.where(name)}: expected a text or a list of texts")
    return values
