"""Finds and compiles the rules of files and folders, and seals them into a signed bundle.

Rule 1: one bad rule stops no other: it becomes a line of `problems` and the rest is compiled.
Rule 2: beside a rule NAME.yml may stand NAME.match.yml and NAME.nomatch.yml (its samples), and a
folder may hold redactions.yml; these are no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vedette.cli import _sigma_regex
from vedette.cli._sigma_compiler import Compiled, compile_rule
from vedette.cli._sigma_document import Document, load
from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.errors import RuleError
from vedette.model.rule import Bundle
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id

REDACTIONS = "redactions.yml"
_SAMPLES = (".match.yml", ".nomatch.yml")
_SUFFIXES = (".yml", ".yaml")


class Collected(NamedTuple):
    """What files and folders hold.

    Attributes:
        problems: one line (file:line:column: message) for each rule that cannot be run.
    """

    compiled: tuple[Compiled, ...]
    redactions: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What authors should know, one line each."""
        return tuple(line for compiled in self.compiled for line in compiled.warnings)


def collect(sources: Iterable[Path]) -> Collected:
    """Compile all rules of files and folders, in the order of their names.

    Raises:
        RuleError: a source does not exist.
        DeviceError: a library of the operator's side is not installed.
    """
    compiled: dict[str, Compiled] = {}
    redactions: list[str] = []
    problems: list[str] = []
    for file in rule_files(sources):
        try:
            for document in load(file):
                if file.name == REDACTIONS:
                    redactions += _redactions(document)
                else:
                    _add(compiled, document, problems)
        except RuleError as error:
            problems.append(str(error))
    return Collected(tuple(compiled.values()), tuple(redactions), tuple(problems))


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
    rules = tuple(compiled.rule for compiled in collected.compiled)
    payload = bundle_codec.encode(
        Bundle(name, counter, issued_s, expires_s, rules, collected.redactions, "")
    )
    signature = signer.sign(dsse.pae(bundle_codec.PAYLOAD_TYPE, payload))
    return dsse.encode(bundle_codec.PAYLOAD_TYPE, payload, [(key_id(signer.public_key), signature)])


def _add(compiled: dict[str, Compiled], document: Document, problems: list[str]) -> None:
    try:
        found = compile_rule(document)
        other = compiled.get(found.rule.rule_id)
        if other is not None:
            document.refuse(f"expected an id of its own, got that of {other.document.file}", "id")
    except RuleError as error:
        problems.append(str(error))
    else:
        compiled[found.rule.rule_id] = found


def _redactions(document: Document) -> Sequence[str]:
    entries = document.value.get("redactions")
    if not isinstance(entries, list):
        document.refuse("expected a list named redactions")
    patterns: list[str] = []
    for entry in entries:
        pattern = entry.get("pattern") if isinstance(entry, dict) else None
        if not isinstance(pattern, str):
            document.refuse("expected each redaction to have a text named pattern", "redactions")
        try:
            patterns.append(_sigma_regex.check(pattern).text)
        except RuleError as error:
            document.refuse(str(error), "redactions")
    return patterns
