"""Policies as people write them: TOML, with keys as files.

name = "acme"

[people]
alice = "keys/alice.pub"                # relative to this file; or 64 hex digits

[machines]
ci = "keys/ci.pub"

[[rule]]
number = 1
kinds = ["firmware"]                    # left out: all kinds; names = [...] likewise
demand = "build"                        # build, review, authorship, approval
signers = ["ci"]                        # left out: all who may
builders = ["https://ci.acme.example/cam"]
reason = "only our CI builds firmware"

[[rule]]
number = 2
if-authorship = ["ai-generated", "unknown"]
demand = "approval"
least = 2
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vedette.cli._release_terms import read_file
from vedette.codec.text import quoted
from vedette.errors import RequestError, TrustError
from vedette.model.provenance import Authorship, PolicyRule, ReleasePolicy, Signer, StatementKind
from vedette.model.release import ReleaseKind
from vedette.trust.keyfile import load_public

_MAX_BYTES = 256 << 10
_HEX = re.compile(r"[0-9a-f]{64}")
_TOP = {"name", "people", "machines", "rule"}
_RULE = {
    "number", "kinds", "names", "if-authorship", "demand", "signers", "least", "builders",
    "allowed", "reason",
}  # fmt: skip
_BY_PERSONS = (StatementKind.REVIEW, StatementKind.APPROVAL)


def read(path: Path, counter: int, issued_s: int, expires_s: int) -> ReleasePolicy:
    """A policy out of its file; codec/release_policy.py says whether it makes sense.

    Raises:
        RequestError: the file is not of this form; the message names the place.
    """
    try:
        value = tomllib.loads(read_file(path, _MAX_BYTES).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path}: expected TOML: {error}") from error
    _expect_names(path, "the file", value, _TOP)
    signers = [
        *_signers(path, value, "machines", is_person=False),
        *_signers(path, value, "people", is_person=True),
    ]
    rules = value.get("rule", [])
    if not isinstance(rules, list) or not rules:
        raise RequestError(f"{path}: expected one [[rule]] at least")
    return ReleasePolicy(
        name=_text(path, "name", value.get("name", "policy")),
        counter=counter,
        issued_s=issued_s,
        expires_s=expires_s,
        signers=tuple(signers),
        rules=tuple(_rule(path, one, signers) for one in rules),
        digest="",
    )


def _signers(path: Path, value: Mapping[str, Any], table: str, *, is_person: bool) -> list[Signer]:
    found = value.get(table, {})
    if not isinstance(found, dict):
        raise RequestError(f"{path}: [{table}]: expected NAME = FILE")
    return [
        Signer(name, _key(path, f"{table}.{name}", key), is_person)
        for name, key in sorted(found.items())
    ]


def _key(path: Path, where: str, value: object) -> bytes:
    text = _text(path, where, value)
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return load_public(path.parent / text)
    except TrustError as error:
        raise RequestError(f"{path}: {where}: {error}") from error


def _rule(path: Path, value: object, signers: list[Signer]) -> PolicyRule:
    if not isinstance(value, dict):
        raise RequestError(f"{path}: [[rule]]: expected a table")
    where = f"rule {quoted(value.get('number', '?'))}"
    _expect_names(path, where, value, _RULE)
    demand = _one_of(path, f"{where}: demand", value.get("demand"), StatementKind)
    countable = [one.name for one in signers if one.is_person or demand not in _BY_PERSONS]
    words = _words(path, f"{where}: signers", value.get("signers", countable))
    return PolicyRule(
        number=_number(path, f"{where}: number", value.get("number")),
        kinds=tuple(
            _one_of(path, f"{where}: kinds", one, ReleaseKind)
            for one in _words(path, f"{where}: kinds", value.get("kinds", []))
        ),
        names=_words(path, f"{where}: names", value.get("names", [])),
        if_authorship=_authorship(path, f"{where}: if-authorship", value.get("if-authorship", [])),
        demand=demand,
        signers=words,
        least=_number(path, f"{where}: least", value.get("least", 1)),
        builders=_words(path, f"{where}: builders", value.get("builders", [])),
        allowed=_authorship(path, f"{where}: allowed", value.get("allowed", [])),
        reason=_text(path, f"{where}: reason", value.get("reason", "")),
    )


def _authorship(path: Path, where: str, value: object) -> tuple[Authorship, ...]:
    return tuple(_one_of(path, where, one, Authorship) for one in _words(path, where, value))


def _one_of(path: Path, where: str, value: object, words: Any) -> Any:
    if value not in list(words):
        raise RequestError(f"{path}: {where}: expected one of {', '.join(words)}, got "
                           f"{quoted(value)}")  # fmt: skip
    return words(value)


def _words(path: Path, where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RequestError(f"{path}: {where}: expected a list of texts, got {quoted(value)}")
    found = [_text(path, where, one) for one in value]
    return tuple(sorted(set(found)))


def _text(path: Path, where: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{path}: {where}: expected a text, got {quoted(value)}")
    return value


def _number(path: Path, where: str, value: object) -> int:
    if type(value) is not int:
        raise RequestError(f"{path}: {where}: expected a whole number, got {quoted(value)}")
    return value


def _expect_names(path: Path, where: str, value: Mapping[str, Any], names: set[str]) -> None:
    unknown = sorted(value.keys() - names)
    if unknown:
        raise RequestError(f"{path}: {where}: expected {', '.join(sorted(names))}, got "
                           f"{quoted(unknown[0])}")  # fmt: skip
