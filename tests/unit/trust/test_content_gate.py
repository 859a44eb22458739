"""What may be accepted as rules: attacks as a table, then what survives restarts and damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from tests.simulators.memory_state import MemoryShelf, MemoryState
from tests.simulators.signing import (
    BUILD_S,
    EXPIRES_S,
    ISSUED_S,
    document,
    envelope,
    role,
    signer,
)

from vedette.codec.bundle import PAYLOAD_TYPE
from vedette.errors import ParseError, StoreError, TrustError
from vedette.model.rule import Bundle
from vedette.model.trust import Role
from vedette.trust.content_gate import (
    MAX_STARTS,
    Accepted,
    ContentGate,
    ContentKind,
    WithdrawnError,
)
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier
from vedette.trust.time_floor import TIME_FLOOR

ROOT, RULES, OTHER, FIRMWARE, EVIL = (signer(number) for number in range(1, 6))
VERIFIER = Ed25519Verifier()
DAY_S = 86_400
KIND = ContentKind("rules", "bundle", PAYLOAD_TYPE, is_tried=True)


def parse(payload: bytes) -> Bundle:
    """Stands for codec/bundle.py: the gate does not care how rules are written."""
    try:
        fields = json.loads(payload)
    except ValueError as error:
        raise ParseError("expected a bundle") from error
    digest = hashlib.sha256(payload).hexdigest()
    return Bundle(rules=(), redactions=(), digest=digest, **fields)


def bundle(
    counter: int,
    *signers: Ed25519Signer,
    issued_s: int = ISSUED_S,
    expires_s: int = ISSUED_S + DAY_S,
    name: str = "core",
    payload_type: str = PAYLOAD_TYPE,
) -> bytes:
    payload = json.dumps(
        {"name": name, "counter": counter, "issued_s": issued_s, "expires_s": expires_s}
    ).encode()
    return envelope(payload_type, payload, signers or (RULES,))


class Device:
    """A state and a shelf that outlive the gate."""

    def __init__(self, rules: Role | None = None) -> None:
        self.state, self.shelf = MemoryState(), MemoryShelf()
        self.rules: Role | None = rules or role(RULES)

    def start(self) -> ContentGate[Bundle]:
        return ContentGate(
            KIND,
            document=document(role(ROOT), rules=self.rules, firmware=role(FIRMWARE)),
            verifier=VERIFIER,
            state=self.state,
            shelf=self.shelf,
            parse=parse,
            build_s=BUILD_S,
        )

    def accept(self, data: bytes, wall_s: float = ISSUED_S) -> Accepted[Bundle]:
        return self.start().accept(data, wall_s)

    def loaded(self, wall_s: float = ISSUED_S) -> Accepted[Bundle]:
        found = self.start().load(wall_s)
        assert found is not None
        return found


def altered(data: bytes) -> bytes:
    fields = json.loads(data)
    fields["payload"] = json.loads(bundle(99))["payload"]
    return json.dumps(fields).encode()


def unsigned(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "signatures": []}).encode()


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "unsigned": (lambda: unsigned(bundle(6)), "it is unsigned, truncated or damaged"),
    "not even an envelope": (lambda: b"counter: 6", "it is unsigned, truncated or damaged"),
    "altered": (lambda: altered(bundle(6)), "altered or damaged after signing"),
    "truncated": (lambda: bundle(6)[:-20], "it is unsigned, truncated or damaged"),
    "older than the floor": (lambda: bundle(4), "expected counter 5 or later"),
    "other content under the same counter": (
        lambda: bundle(5, name="twin"),
        "expected counter 6 or later",
    ),
    "expired": (lambda: bundle(6, expires_s=ISSUED_S - 1), "expired at"),
    "expired before the build, clock in 1970": (
        lambda: bundle(6, issued_s=1, expires_s=BUILD_S - 1),
        "expired at",
    ),
    "a foreign key": (lambda: bundle(6, EVIL), "a foreign key: sign it with a trusted key"),
    "a key for firmware": (lambda: bundle(6, FIRMWARE), "a key for firmware: sign it with"),
    "the root key": (lambda: bundle(6, ROOT), "a foreign key"),
    "another type of payload": (
        lambda: bundle(6, payload_type="application/vnd.vedette.firmware"),
        "for another purpose",
    ),
    "rightly signed garbage": (
        lambda: envelope(PAYLOAD_TYPE, b"\xff", (RULES,)),
        "rightly signed, but this agent cannot read it",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("wall_s", [0, ISSUED_S])
def test_what_may_not_be_used_is_refused_and_the_last_good_one_stays(
    attack: tuple[Callable[[], bytes], str], wall_s: int
) -> None:
    make, reason = attack
    device = Device()
    device.accept(bundle(5), wall_s)
    values, files = dict(device.state.values), dict(device.shelf.files)
    with pytest.raises(TrustError, match=reason):
        device.accept(make(), wall_s)
    assert (device.state.values, device.shelf.files) == (values, files)
    assert device.loaded(wall_s).content.counter == 5


def test_two_of_two_signatures_are_both_needed_and_a_repeated_one_counts_once() -> None:
    device = Device(role(RULES, OTHER, threshold=2))
    for signers in ((RULES,), (RULES, RULES), (RULES, EVIL)):
        with pytest.raises(TrustError, match="expected signatures of 2"):
            device.accept(bundle(1, *signers))
    assert device.accept(bundle(1, RULES, OTHER)).is_new


def test_a_purpose_without_keys_accepts_nothing() -> None:
    device = Device()
    device.rules = None
    with pytest.raises(TrustError, match="names no key for rules"):
        device.accept(bundle(1))


def test_a_newer_bundle_is_taken_and_loaded_after_a_restart() -> None:
    device = Device()
    assert device.accept(bundle(1)).is_new
    assert device.accept(bundle(2)).is_new
    assert not device.accept(bundle(2)).is_new
    assert device.loaded().content.counter == 2


def test_the_floor_never_drops() -> None:
    device = Device()
    device.accept(bundle(7))
    for counter in (1, 6):
        with pytest.raises(TrustError, match="older"):
            device.accept(bundle(counter))
    assert device.state.number("rules.floor") == 7


def test_a_known_bundle_loads_for_ever_and_is_called_stale() -> None:
    device = Device()
    data = bundle(1)
    assert not device.accept(data).is_stale
    late = ISSUED_S + 10 * DAY_S
    assert device.loaded(late).is_stale
    again = device.accept(data, late)
    assert again.is_stale
    assert not again.is_new


def test_a_clock_in_1970_stops_nothing_and_hides_no_expiry() -> None:
    device = Device()
    device.accept(bundle(1), wall_s=0)
    assert device.state.number(TIME_FLOOR) == ISSUED_S
    later = ISSUED_S + 2 * DAY_S
    device.accept(bundle(2, issued_s=later, expires_s=later + DAY_S), wall_s=0)
    with pytest.raises(TrustError, match="expired"):
        device.accept(bundle(3), wall_s=0)


def test_a_clock_far_ahead_refuses_new_rules_only_while_it_is_ahead() -> None:
    device = Device()
    device.accept(bundle(1))
    with pytest.raises(TrustError, match="set the clock"):
        device.accept(bundle(2), wall_s=ISSUED_S + 1000 * DAY_S)
    assert device.accept(bundle(2)).is_new


def test_a_rules_key_cannot_push_the_time_past_the_trust_document() -> None:
    device = Device()
    device.accept(bundle(1, issued_s=2 * EXPIRES_S, expires_s=3 * EXPIRES_S))
    assert device.state.number(TIME_FLOOR) == EXPIRES_S


def test_the_signature_is_checked_at_every_load() -> None:
    device = Device()
    device.accept(bundle(1))
    (name,) = device.shelf.files
    device.shelf.files[name] = altered(device.shelf.files[name])
    with pytest.raises(TrustError, match="altered or damaged"):
        device.start().load(ISSUED_S)


def test_a_bundle_of_a_key_taken_back_is_loaded_no_more() -> None:
    device = Device()
    device.accept(bundle(1))
    device.rules = role(OTHER)
    with pytest.raises(TrustError, match="foreign key"):
        device.start().load(ISSUED_S)


def test_the_one_before_is_used_when_the_newest_is_damaged_and_it_is_said() -> None:
    device = Device()
    for counter in (1, 2, 3):
        device.accept(bundle(counter))
    assert len(device.shelf.files) == 2
    newest = next(name for name, data in device.shelf.files.items() if data == bundle(3))
    for damage in (b"", bundle(3)[:50], None):
        if damage is None:
            del device.shelf.files[newest]
        else:
            device.shelf.files[newest] = damage
        found = device.loaded()
        assert found.content.counter == 2
        assert len(found.problems) == 2
        assert "although 3 had been accepted" in found.problems[1]
    assert device.accept(bundle(3)).content.counter == 3
    assert device.loaded().content.counter == 3


def test_nothing_accepted_yet_is_none() -> None:
    assert Device().start().load(0) is None


def test_a_lost_state_still_loads_the_newest_on_the_shelf() -> None:
    device = Device()
    device.accept(bundle(1))
    device.accept(bundle(2))
    device.state.values.clear()
    assert device.loaded(ISSUED_S + 100 * DAY_S).content.counter == 2


def test_the_copy_is_safe_before_the_floor_rises() -> None:
    device = Device()
    device.accept(bundle(1))
    device.shelf.is_full = True
    with pytest.raises(StoreError):
        device.accept(bundle(2))
    assert device.state.number("rules.floor") == 1
    device.shelf.is_full, device.state.is_full = False, True
    with pytest.raises(StoreError):
        device.accept(bundle(2))
    assert device.loaded().content.counter == 1
    device.state.is_full = False
    assert device.accept(bundle(2)).is_new


def test_the_first_bundle_of_all_is_not_tried_since_nothing_was_before_it() -> None:
    device = Device()
    device.accept(bundle(5))
    assert not device.start().trial


def test_a_new_bundle_is_on_trial_until_it_is_settled() -> None:
    device = Device()
    device.accept(bundle(5))
    newer = device.accept(bundle(6)).content
    assert device.start().trial == newer.digest
    device.start().settle("0" * 64)
    assert device.start().trial == newer.digest
    device.start().settle(newer.digest)
    assert not device.start().trial


def test_a_withdrawn_bundle_gives_way_to_the_one_before_and_the_floor_stays() -> None:
    device = Device()
    before = device.accept(bundle(5)).content
    bad = device.accept(bundle(6)).content
    device.start().withdraw(bad.digest)
    found = device.loaded()
    assert (found.content.digest, found.problems) == (before.digest, ())
    assert device.state.number("rules.floor") == 6
    assert not device.start().trial


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (bundle(6), "was given back on this device"),
        (bundle(5), "expected counter 6 or later"),
        (bundle(4), "expected counter 6 or later"),
        (bundle(6, name="twin"), "expected counter 7 or later"),
    ],
    ids=["itself", "the one in use again", "an older one", "another under its counter"],
)
def test_a_withdrawal_lets_nothing_old_in(offered: bytes, reason: str) -> None:
    device = Device()
    device.accept(bundle(4))
    before = device.accept(bundle(5)).content
    device.start().withdraw(device.accept(bundle(6)).content.digest)
    with pytest.raises(TrustError, match=reason):
        device.accept(offered)
    assert device.loaded().content.digest == before.digest
    assert device.accept(bundle(7)).content.counter == 7
    with pytest.raises(WithdrawnError):
        device.accept(bundle(6))


def test_one_step_back_is_all_there_is() -> None:
    device = Device()
    device.accept(bundle(4))
    before = device.accept(bundle(5)).content
    device.start().withdraw(device.accept(bundle(6)).content.digest)
    with pytest.raises(TrustError, match="no rules bundle is kept from before"):
        device.start().withdraw(before.digest)
    assert device.loaded().content.digest == before.digest


def test_what_is_not_in_use_cannot_be_withdrawn() -> None:
    device = Device()
    before = device.accept(bundle(5)).content
    device.accept(bundle(6))
    for digest in (before.digest, "0" * 64, ""):
        with pytest.raises(TrustError, match="expected the rules bundle in use"):
            device.start().withdraw(digest)


def test_nothing_is_withdrawn_where_the_one_before_is_damaged() -> None:
    device = Device()
    before = device.accept(bundle(5)).content
    bad = device.accept(bundle(6)).content
    device.shelf.save(f"{before.digest}.bundle", altered(bundle(5)))
    with pytest.raises(TrustError, match="no rules bundle is kept from before"):
        device.start().withdraw(bad.digest)
    assert device.loaded().content.digest == bad.digest


def test_a_bundle_that_ends_the_agent_again_and_again_is_to_be_withdrawn() -> None:
    device = Device()
    device.accept(bundle(5))
    assert device.start().start() == ""
    device.accept(bundle(6))
    assert [bool(device.start().start()) for _ in range(MAX_STARTS + 1)] == [
        *[False] * MAX_STARTS, True,
    ]  # fmt: skip


def test_a_settled_bundle_is_not_counted_against() -> None:
    device = Device()
    device.accept(bundle(5))
    newer = device.accept(bundle(6)).content
    device.start().settle(newer.digest)
    assert all(device.start().start() == "" for _ in range(MAX_STARTS + 2))


def test_a_newer_bundle_than_the_one_given_back_is_missed_when_it_is_lost() -> None:
    device = Device()
    device.accept(bundle(5))
    device.start().withdraw(device.accept(bundle(6)).content.digest)
    newest = device.accept(bundle(7)).content
    device.shelf.remove(f"{newest.digest}.bundle")
    assert "7 had been accepted" in " ".join(device.loaded().problems)
