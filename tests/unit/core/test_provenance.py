"""What a policy says of a release: whose word counts, about what, and which rule refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.simulators.signing import envelope, signer

from vedette.codec import dsse, provenance
from vedette.codec.strict_json import Json
from vedette.core.provenance import judge
from vedette.model.provenance import (
    Authorship,
    PolicyRule,
    ReleasePolicy,
    Signer,
    StatementKind,
    Verdict,
)
from vedette.model.release import Release, ReleaseKind, TargetFile
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier

SHA = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0c" * 32
COMMIT = "gitCommit:" + "0b" * 20
CI, ALICE, BOB, EVE = (signer(number) for number in range(1, 5))
BUILDER = "https://ci.example/cam"

FIRMWARE = Release(
    ReleaseKind.FIRMWARE, "cam", "2", 2, 1, TargetFile("firmware/cam/x", 5, "0a" * 32),
    hardware_ids=("cam-2",),
)  # fmt: skip


def rule(demand: StatementKind, number: int = 1, **more: Any) -> PolicyRule:
    plain: dict[str, Any] = {
        "number": number, "kinds": (), "names": (), "if_authorship": (), "demand": demand,
        "signers": ("alice", "bob", "ci"), "least": 1, "builders": (), "allowed": (), "reason": "",
    }  # fmt: skip
    return PolicyRule(**(plain | more))


def policy(*rules: PolicyRule) -> ReleasePolicy:
    signers = (
        Signer("ci", CI.public_key, is_person=False),
        Signer("alice", ALICE.public_key, is_person=True),
        Signer("bob", BOB.public_key, is_person=True),
    )
    return ReleasePolicy("acme", 3, 1, 2, signers, rules, "")


def said(
    predicate_type: str, predicate: dict[str, Json], *by: Ed25519Signer, about: str = SHA
) -> bytes:
    payload = provenance.encode_payload({about: "x"}, predicate_type, predicate)
    return envelope(provenance.PAYLOAD_TYPE, payload, by)


def build(*by: Ed25519Signer, builder: str = BUILDER, about: str = SHA) -> bytes:
    dependency: Json = {"digest": {"gitCommit": "0b" * 20}}
    predicate: dict[str, Json] = {
        "buildDefinition": {"buildType": "x:y", "resolvedDependencies": [dependency]},
        "runDetails": {"builder": {"id": builder}},
    }
    return said(provenance.SLSA, predicate, *by, about=about)


def review(*by: Ed25519Signer, about: str = SHA, result: str = "approved") -> bytes:
    return said(provenance.REVIEW, {"result": result}, *by, about=about)


def approval(*by: Ed25519Signer, about: str = SHA) -> bytes:
    return said(provenance.APPROVAL, {}, *by, about=about)


def authorship(word: Authorship, *by: Ed25519Signer, about: str = SHA) -> bytes:
    return said(provenance.AUTHORSHIP, {"authorship": str(word)}, *by, about=about)


def ask(wanted: ReleasePolicy | None, *statements: bytes, release: Release = FIRMWARE) -> Verdict:
    return judge(release, statements, wanted, Ed25519Verifier())


def test_without_a_policy_it_is_allowed_and_said_that_nobody_asked() -> None:
    found = ask(None, authorship(Authorship.AI_GENERATED, EVE), b"rubbish")
    assert found.is_allowed
    assert "no release policy is installed" in found.warnings[0]
    assert "statement 2 does not count" in found.warnings[1]
    assert found.facts["claimed-authorship"] == "ai-generated"


BUILT = rule(StatementKind.BUILD, builders=(BUILDER,), signers=("ci",))
REVIEWED = rule(StatementKind.REVIEW, signers=("alice", "bob"))
TWICE = rule(StatementKind.APPROVAL, signers=("alice", "bob"), least=2)
BY_HAND = rule(
    StatementKind.AUTHORSHIP, allowed=(Authorship.HUMAN, Authorship.AI_ASSISTED), signers=("alice",)
)

CASES: dict[str, tuple[PolicyRule, Sequence[bytes], bool]] = {
    "built where it should be": (BUILT, [build(CI)], True),
    "built by somebody else": (BUILT, [build(EVE)], False),
    "built by a person who may only review": (BUILT, [build(ALICE)], False),
    "built elsewhere, signed by our machine": (BUILT, [build(CI, builder="https://x.y")], False),
    "other bytes were built": (BUILT, [build(CI, about=OTHER)], False),
    "nothing is said": (BUILT, [], False),
    "a review instead of a build": (BUILT, [review(CI)], False),
    "reviewed": (REVIEWED, [review(BOB)], True),
    "reviewed and not found good": (REVIEWED, [review(BOB, result="changes-requested")], False),
    "other bytes were reviewed": (REVIEWED, [review(BOB, about=OTHER)], False),
    "its source was reviewed": (REVIEWED, [build(CI), review(BOB, about=COMMIT)], True),
    "a source was reviewed, and no machine says it is this one's": (
        REVIEWED, [build(EVE), review(BOB, about=COMMIT)], False,
    ),
    "a reviewer names the source himself": (
        REVIEWED, [build(ALICE), review(BOB, about=COMMIT)], False,
    ),
    "the source of other bytes was reviewed": (
        REVIEWED, [build(CI, about=OTHER), review(BOB, about=COMMIT)], False,
    ),
    "approved by two in one statement": (TWICE, [approval(ALICE, BOB)], True),
    "approved by two in two": (TWICE, [approval(BOB), approval(ALICE)], True),
    "approved by one, twice": (TWICE, [approval(BOB), approval(BOB)], False),
    "approved by one and a stranger": (TWICE, [approval(BOB), approval(EVE)], False),
    "approved by one and a machine": (TWICE, [approval(BOB, CI)], False),
    "an approval of the source": (
        TWICE, [build(CI), approval(ALICE, BOB, about=COMMIT)], False,
    ),
    "written by a person": (BY_HAND, [authorship(Authorship.HUMAN, ALICE)], True),
    "written with help": (BY_HAND, [authorship(Authorship.AI_ASSISTED, ALICE)], True),
    "written by a model": (BY_HAND, [authorship(Authorship.AI_GENERATED, ALICE)], False),
    "one says by a person, another by a model": (
        BY_HAND,
        [authorship(Authorship.HUMAN, ALICE), authorship(Authorship.AI_GENERATED, BOB)],
        False,
    ),
    "a stranger says by a model": (
        BY_HAND,
        [authorship(Authorship.HUMAN, ALICE), authorship(Authorship.AI_GENERATED, EVE)],
        True,
    ),
    "nobody says who wrote it": (BY_HAND, [review(ALICE)], False),
}  # fmt: skip


@pytest.mark.parametrize(("one", "statements", "is_allowed"), CASES.values(), ids=CASES.keys())
def test_one_rule(one: PolicyRule, statements: Sequence[bytes], is_allowed: bool) -> None:  # noqa: FBT001
    found = ask(policy(one._replace(number=7)), *statements)
    assert (found.is_allowed, found.rule) == (is_allowed, 0 if is_allowed else 7)
    if not is_allowed:
        assert found.reason.startswith("rule 7: expected ")


def test_a_refusal_says_the_rule_its_reason_and_what_was_found() -> None:
    found = ask(policy(TWICE._replace(number=12, reason="two eyes see less")), approval(BOB))
    assert found.reason == (
        "rule 12 (two eyes see less): expected approval by 2 of alice, bob, got bob; authorship "
        "unknown, 1 of 1 statements count"
    )


def test_the_first_rule_that_is_not_met_refuses() -> None:
    both = policy(BUILT, REVIEWED._replace(number=2), TWICE._replace(number=3))
    assert ask(both, build(CI)).rule == 2
    assert ask(both, build(CI), review(BOB)).rule == 3
    good = ask(both, build(CI), review(BOB), approval(ALICE, BOB))
    assert good.is_allowed
    assert good.facts == {
        "policy": "acme 3",
        "authorship": "unknown",
        "built-by": "ci",
        "reviewed-by": "bob",
        "approved-by": "alice, bob",
    }


def test_what_a_model_wrote_may_need_more() -> None:
    more = policy(
        TWICE._replace(if_authorship=(Authorship.AI_GENERATED, Authorship.UNKNOWN)),
    )
    assert ask(more, authorship(Authorship.HUMAN, ALICE)).is_allowed
    assert not ask(more, authorship(Authorship.AI_GENERATED, ALICE)).is_allowed
    assert not ask(more).is_allowed
    assert ask(more, approval(ALICE, BOB)).is_allowed


def test_a_rule_is_for_its_kinds_and_names() -> None:
    for_firmware = policy(REVIEWED._replace(kinds=(ReleaseKind.FIRMWARE,)))
    for_router = policy(REVIEWED._replace(names=("router",)))
    for_rules = policy(REVIEWED._replace(kinds=(ReleaseKind.RULES,)))
    assert not ask(for_firmware).is_allowed
    assert ask(for_router).is_allowed
    assert ask(for_rules).is_allowed


@pytest.mark.parametrize("kind", [ReleaseKind.TRUST, ReleaseKind.POLICY])
def test_a_rule_for_all_kinds_does_not_lock_its_own_way_out(kind: ReleaseKind) -> None:
    target = TargetFile(f"{kind}/main/x", 5, "0a" * 32)
    release = Release(kind, "main", "2", 2, 1, target)
    assert ask(policy(REVIEWED), release=release).is_allowed
    assert not ask(policy(REVIEWED._replace(kinds=(kind,))), release=release).is_allowed


def test_a_signature_counts_with_its_key_id_and_without_and_not_under_another() -> None:
    data = dsse.decode(review(BOB))

    def again(keyid: str) -> bytes:
        sig = data.signatures[0].sig
        return dsse.encode(data.payload_type, data.payload, [(keyid, sig)])

    asked = policy(REVIEWED)
    assert ask(asked, again("")).is_allowed
    assert not ask(asked, again("0" * 64)).is_allowed
    assert not ask(asked, again(dsse.decode(review(ALICE)).signatures[0].keyid)).is_allowed


def test_a_statement_that_was_changed_counts_for_nobody() -> None:
    data = dsse.decode(review(BOB, result="changes-requested"))
    better = provenance.encode_payload({SHA: "x"}, provenance.REVIEW, {"result": "approved"})
    forged = dsse.encode(data.payload_type, better, data.signatures)
    found = ask(policy(REVIEWED), forged)
    assert not found.is_allowed
    assert "0 of 1 statements count" in found.reason


def test_rubbish_among_statements_is_told_and_decides_nothing() -> None:
    found = ask(policy(REVIEWED), b"", review(BOB), b"\xff" * 9)
    assert found.is_allowed
    assert [one[:11] for one in found.warnings] == ["statement 1", "statement 3"]
