"""Whether what is said about a release is what the policy of this device asks for.

Rule 1: without a policy everything is allowed, and the verdict says so and what was claimed.
Rule 2: with one, every rule for the release has to be met; the first that is not refuses, with its
number, its reason, and what was found instead.
Rule 3: a statement counts only if it is about the release's own digest, and for the signers of the
policy whose signature holds. Reviews and statements of authorship may also be about what a trusted
machine's build statement names as its source.
Rule 4: the authorship of a release is the most doubtful one that a counted signer states, and
unknown where nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vedette.codec import provenance as codec
from vedette.codec.trust_document import key_id
from vedette.errors import ParseError
from vedette.model.provenance import (
    Authorship,
    PolicyRule,
    ReleasePolicy,
    Signer,
    Statement,
    StatementKind,
    Verdict,
)
from vedette.model.release import Release, ReleaseKind
from vedette.ports.signer import Verifier

_NEVER_BY_DEFAULT = (ReleaseKind.TRUST, ReleaseKind.POLICY)
"""A rule for "all kinds" that caught these could not be mended any more."""

_DOUBT = tuple(Authorship)
_WORDS = {
    StatementKind.BUILD: "built-by",
    StatementKind.REVIEW: "reviewed-by",
    StatementKind.APPROVAL: "approved-by",
}


class _Said(NamedTuple):
    """A statement about this release, and the names of the signers who stand for it."""

    statement: Statement
    signers: frozenset[str]


def judge(
    release: Release,
    statements: Sequence[bytes],
    policy: ReleasePolicy | None,
    verifier: Verifier,
) -> Verdict:
    """What the policy says of a release.

    Args:
        release: verified.
        statements: envelopes whose digests the release names, in its order.
        policy: of this device; None where none is installed.
        verifier: of Ed25519 signatures.
    """
    found, problems = _read(statements)
    if policy is None:
        return _unjudged(release, [one.statement for one in found], problems)
    said = _about(release, _signed(found, policy, verifier), policy)
    authorship = _authorship(said)
    facts = {"policy": f"{policy.name} {policy.counter}", "authorship": str(authorship)}
    facts |= _facts(said)
    for rule in policy.rules:
        if _applies(rule, release, authorship):
            names = _meeting(rule, said)
            if len(names) < rule.least:
                reason = _refusal(rule, names, authorship, len(said), len(statements))
                return Verdict(
                    is_allowed=False, rule=rule.number, reason=reason,
                    warnings=tuple(problems), facts=facts,
                )  # fmt: skip
    met = f"policy {policy.name} {policy.counter} is met"
    return Verdict(is_allowed=True, rule=0, reason=met, warnings=tuple(problems), facts=facts)


def _read(statements: Sequence[bytes]) -> tuple[list[codec.SignedStatement], list[str]]:
    found: list[codec.SignedStatement] = []
    problems: list[str] = []
    for number, data in enumerate(statements, 1):
        try:
            found.append(codec.decode(data))
        except ParseError as error:
            problems.append(f"statement {number} does not count: {error}")
    return found, problems


def _unjudged(release: Release, found: list[Statement], problems: list[str]) -> Verdict:
    claimed = [one for one in found if f"sha256:{release.target.sha256}" in one.subjects]
    said = [_Said(one, frozenset()) for one in claimed]
    facts = {"policy": "none", "claimed-authorship": str(_authorship(said))}
    facts["statements"] = str(len(claimed))
    warning = "no release policy is installed: nobody checked who built and reviewed this"
    return Verdict(
        is_allowed=True, rule=0, reason=warning, warnings=(warning, *problems), facts=facts
    )


def _signed(
    found: list[codec.SignedStatement], policy: ReleasePolicy, verifier: Verifier
) -> list[_Said]:
    """Statements with the policy's signers whose signature holds, one at least."""
    by_id = {key_id(one.public_key): one for one in policy.signers}
    said = (_Said(one.statement, _signers(one, by_id, verifier)) for one in found)
    return [one for one in said if one.signers]


def _signers(
    one: codec.SignedStatement, by_id: dict[str, Signer], verifier: Verifier
) -> frozenset[str]:
    """The key id of a signature is a hint (DSSE v1): without one all signers are tried."""
    names: set[str] = set()
    for keyid, signature in one.signatures:
        hinted = by_id.get(keyid)
        tried = [hinted] if hinted else [] if keyid else list(by_id.values())
        names |= {
            signer.name
            for signer in tried
            if verifier.verify(signer.public_key, signature, one.message)
        }
    return frozenset(names)


def _about(release: Release, said: list[_Said], policy: ReleasePolicy) -> list[_Said]:
    """Those about this release, or about the source of a build of it that a machine signed."""
    target = frozenset({f"sha256:{release.target.sha256}"})
    machines = {one.name for one in policy.signers if not one.is_person}
    builds = [
        one
        for one in said
        if one.statement.kind is StatementKind.BUILD
        and one.statement.subjects & target
        and one.signers & machines
    ]
    source = frozenset().union(*(one.statement.materials for one in builds))
    of_source = (StatementKind.REVIEW, StatementKind.AUTHORSHIP)
    return [
        one
        for one in said
        if one.statement.subjects & target
        or (one.statement.kind in of_source and one.statement.subjects & source)
    ]


def _authorship(said: Sequence[_Said]) -> Authorship:
    words = [
        one.statement.authorship for one in said if one.statement.kind is StatementKind.AUTHORSHIP
    ]
    return max(words, key=_DOUBT.index, default=Authorship.UNKNOWN)


def _facts(said: Sequence[_Said]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for one in said:
        word = _WORDS.get(one.statement.kind)
        if word and (one.statement.is_good or one.statement.kind is StatementKind.BUILD):
            found.setdefault(word, set()).update(one.signers)
    return {word: ", ".join(sorted(names)) for word, names in found.items()}


def _applies(rule: PolicyRule, release: Release, authorship: Authorship) -> bool:
    is_kind = release.kind in (rule.kinds or set(ReleaseKind) - set(_NEVER_BY_DEFAULT))
    is_name = not rule.names or release.name in rule.names
    return is_kind and is_name and (not rule.if_authorship or authorship in rule.if_authorship)


def _meeting(rule: PolicyRule, said: Sequence[_Said]) -> set[str]:
    """The rule's signers who said what it asks for."""
    good = [one for one in said if one.statement.kind is rule.demand and _is_good(rule, one)]
    names = {name for one in good for name in one.signers if name in rule.signers}
    if rule.demand is StatementKind.AUTHORSHIP and _authorship(said) not in rule.allowed:
        return set()
    return names


def _is_good(rule: PolicyRule, one: _Said) -> bool:
    match rule.demand:
        case StatementKind.BUILD:
            return not rule.builders or one.statement.builder in rule.builders
        case StatementKind.AUTHORSHIP:
            return one.statement.authorship in rule.allowed
        case _:
            return one.statement.is_good


def _refusal(
    rule: PolicyRule, names: set[str], authorship: Authorship, counted: int, given: int
) -> str:
    wanted = f"{rule.demand} by {rule.least} of {', '.join(rule.signers)}"
    if rule.builders:
        wanted += f" at {', '.join(rule.builders)}"
    if rule.allowed:
        wanted += f" saying {' or '.join(rule.allowed)}"
    found = ", ".join(sorted(names)) or "none"
    why = f" ({rule.reason})" if rule.reason else ""
    return (
        f"rule {rule.number}{why}: expected {wanted}, got {found}; authorship {authorship}, "
        f"{counted} of {given} statements count"
    )
