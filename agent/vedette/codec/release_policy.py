"""Release policies <-> the canonical JSON that is signed.

    {"counter": 1, "expires": 1900000000, "format": 1, "issued": 1800000000, "name": "acme",
     "rules": [{"allowed": [], "builders": ["https://ci.acme.example/cam"], "demand": "build",
                "if-authorship": [], "kinds": ["firmware"], "least": 1, "names": [], "number": 1,
                "reason": "only our CI builds firmware", "signers": ["ci"]}],
     "signers": [{"key": "<64 hex digits>", "name": "ci", "person": false}]}

Rule 1: only the canonical bytes are read: one policy, one digest.
Rule 2: what this file does not know is refused: a demand that was passed over would be none.
Rule 3: a demand that nobody can meet is refused: more signers than it names, a review by a machine.
"""

from __future__ import annotations

import hashlib
import re

from vedette.codec import strict_fields as strict
from vedette.codec.release import NAME
from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError
from vedette.model.provenance import (
    MAX_RULES,
    MAX_SIGNERS,
    Authorship,
    PolicyRule,
    ReleasePolicy,
    Signer,
    StatementKind,
)
from vedette.model.release import ReleaseKind

PAYLOAD_TYPE = "application/vnd.vedette.release-policy+json"
MAX_BYTES = 256 << 10
FORMAT = 1
MAX_REASON = 256

_POLICY = frozenset({"counter", "expires", "format", "issued", "name", "rules", "signers"})
_RULE = frozenset(
    {
        "allowed", "builders", "demand", "if-authorship", "kinds", "least", "names", "number",
        "reason", "signers",
    }
)  # fmt: skip
_SIGNER = frozenset({"key", "name", "person"})
_MAX_RULE_NUMBER = 9999
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[!-~]{1,480}")
_KINDS = re.compile("|".join(ReleaseKind))
_AUTHORSHIP = re.compile("|".join(Authorship))
_BY_PERSONS = (StatementKind.REVIEW, StatementKind.APPROVAL)


def encode(policy: ReleasePolicy) -> bytes:
    """The payload of a signed policy; no digest is written, it follows from what is.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    data = canonical(
        {
            "counter": policy.counter,
            "expires": policy.expires_s,
            "format": FORMAT,
            "issued": policy.issued_s,
            "name": policy.name,
            "rules": [_plain_rule(one) for one in policy.rules],
            "signers": [
                {"key": one.public_key.hex(), "name": one.name, "person": one.is_person}
                for one in policy.signers
            ],
        }
    )
    decode(data)
    return data


def decode(payload: bytes) -> ReleasePolicy:
    """Read the payload of a signed policy; whether it was signed is not looked at.

    Raises:
        ParseError: it is none, or one that could be read in two ways.
    """
    value = parse(payload, max_bytes=MAX_BYTES)
    fields = strict.fields(value, "a release policy", _POLICY)
    strict.format_number(fields["format"], FORMAT)
    if canonical(value) != payload:
        raise ParseError("expected canonical JSON (sorted names, no spaces)")
    made = ReleasePolicy(
        name=strict.matched(fields["name"], "the name of a policy", NAME),
        counter=strict.number(fields["counter"], "counter", 1),
        issued_s=strict.number(fields["issued"], "issued", 1),
        expires_s=strict.number(fields["expires"], "expires", 1),
        signers=strict.rows(fields["signers"], "signers", MAX_SIGNERS, _signer),
        rules=strict.rows(fields["rules"], "rules", MAX_RULES, _rule),
        digest=hashlib.sha256(payload).hexdigest(),
    )
    _check(made)
    return made


def _check(made: ReleasePolicy) -> None:
    if made.expires_s <= made.issued_s:
        raise ParseError("expected the policy to expire after it was issued")
    for what, values in (
        ("name of a signer", [one.name for one in made.signers]),
        ("key of a signer", [one.public_key.hex() for one in made.signers]),
    ):
        if len(set(values)) < len(values):
            raise ParseError(f"expected each {what} once")
    numbers = [one.number for one in made.rules]
    if not numbers or numbers != sorted(set(numbers)):
        raise ParseError("expected rules in the order of their numbers, each once, one at least")
    persons = {one.name for one in made.signers if one.is_person}
    known = {one.name for one in made.signers}
    for rule in made.rules:
        _check_rule(rule, persons if rule.demand in _BY_PERSONS else known)


def _check_rule(rule: PolicyRule, countable: set[str]) -> None:
    """Its demand can be met, and says only what belongs to it."""
    what = f"rule {rule.number}"
    stray = [name for name in rule.signers if name not in countable]
    if stray:
        raise ParseError(
            f"{what}: expected signers of the policy, for reviews and approvals persons; got "
            f"{strict.shown(stray[0])}"
        )
    if not rule.signers or rule.least > len(rule.signers):
        raise ParseError(
            f"{what}: expected at least as many signers as it asks for ({rule.least}), got "
            f"{len(rule.signers)}"
        )
    if bool(rule.allowed) != (rule.demand is StatementKind.AUTHORSHIP):
        raise ParseError(
            f"{what}: expected allowed authorship where it is asked for, and only there"
        )
    if rule.builders and rule.demand is not StatementKind.BUILD:
        raise ParseError(f"{what}: expected builders where a build is asked for, and only there")


def _plain_rule(one: PolicyRule) -> dict[str, Json]:
    return {
        "allowed": _words(one.allowed),
        "builders": _words(one.builders),
        "demand": str(one.demand),
        "if-authorship": _words(one.if_authorship),
        "kinds": _words(one.kinds),
        "least": one.least,
        "names": _words(one.names),
        "number": one.number,
        "reason": one.reason,
        "signers": _words(one.signers),
    }


def _words(words: tuple[str, ...]) -> list[Json]:
    return [str(word) for word in words]


def _rule(value: object) -> PolicyRule:
    fields = strict.fields(value, "a rule", _RULE)
    demand = strict.word(fields["demand"], "a demand", StatementKind)
    if demand is StatementKind.OTHER:
        raise ParseError("expected a demand that can be judged, got other")
    kinds = strict.texts(fields["kinds"], "kinds", len(ReleaseKind), _KINDS)
    return PolicyRule(
        number=strict.number(fields["number"], "a rule's number", 1, _MAX_RULE_NUMBER),
        kinds=tuple(map(ReleaseKind, kinds)),
        names=strict.texts(fields["names"], "names", MAX_SIGNERS, NAME),
        if_authorship=_authorship(fields["if-authorship"], "if-authorship"),
        demand=demand,
        signers=strict.texts(fields["signers"], "signers", MAX_SIGNERS, NAME),
        least=strict.number(fields["least"], "least", 1, MAX_SIGNERS),
        builders=strict.texts(fields["builders"], "builders", MAX_SIGNERS, _URI),
        allowed=_authorship(fields["allowed"], "allowed"),
        reason=strict.visible(fields["reason"], "a reason", MAX_REASON),
    )


def _authorship(value: object, what: str) -> tuple[Authorship, ...]:
    return tuple(map(Authorship, strict.texts(value, what, len(Authorship), _AUTHORSHIP)))


def _signer(value: object) -> Signer:
    fields = strict.fields(value, "a signer", _SIGNER)
    return Signer(
        strict.matched(fields["name"], "the name of a signer", NAME),
        bytes.fromhex(strict.matched(fields["key"], "a key of 64 small hex digits", strict.SHA256)),
        strict.truth(fields["person"], "person"),
    )
