"""Operators with keys, and what they send to a device."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulators.signing import EXPIRES_S, ISSUED_S, role, signer

from vedette.codec import command as codec
from vedette.model.command import Audience, Command
from vedette.model.trust import EVERY_GROUP, Grant, Role, TrustDocument
from vedette.trust.approval import approve
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id
from vedette.trust.operator_gate import Station

ALICE, BOB, CAROL, DAVE, MALLORY = (signer(number) for number in range(41, 46))
"""Two who may do everything; one for cameras alone, one who may only look; and a stranger."""

STATION = Station("acme", "cam-7", ("cameras", "site-3"))
HERE = Audience("acme", is_group=False, name="cam-7")
CAMERAS = Audience("acme", is_group=True, name="cameras")
VALID_S = 300
ALL_VERBS = frozenset({
    "isolate", "release", "block", "unblock", "kill", "quarantine", "restore", "undo", "promote",
    "demote", "acknowledge", "collect", "update", "rollback",
})  # fmt: skip


def operators() -> Role:
    grants = {
        ALICE: Grant(ALL_VERBS, frozenset({EVERY_GROUP})),
        BOB: Grant(ALL_VERBS, frozenset({EVERY_GROUP})),
        CAROL: Grant(frozenset({"isolate", "release", "kill"}), frozenset({"cameras"})),
        DAVE: Grant(frozenset({"acknowledge", "collect"}), frozenset({"site-9"})),
    }
    by_id = {key_id(key.public_key): grant for key, grant in grants.items()}
    return Role(role(*grants).keys, 1, by_id)


def trust_document(found: Role | None = None) -> TrustDocument:
    purposes = {"operators": found or operators(), "rules": role(MALLORY)}
    return TrustDocument(1, ISSUED_S, EXPIRES_S, role(signer(1)), purposes)


def unsigned(
    verb: str = "isolate",
    audience: Audience = HERE,
    *,
    issued_s: int = ISSUED_S,
    valid_s: int = VALID_S,
    arguments: Mapping[str, str] | None = None,
) -> Command:
    return Command(audience, verb, arguments or {}, issued_s, issued_s + valid_s, ())


def command(
    verb: str = "isolate",
    audience: Audience = HERE,
    *signers: Ed25519Signer,
    number: int = 1,
    issued_s: int = ISSUED_S,
    valid_s: int = VALID_S,
    arguments: Mapping[str, str] | None = None,
) -> bytes:
    """What travels: signed by Alice unless somebody else is named."""
    found = unsigned(verb, audience, issued_s=issued_s, valid_s=valid_s, arguments=arguments)
    for key in signers or (ALICE,):
        found = approve(found, key, number)
    return codec.encode(found)
