"""Rotation of the trust document: attacks as a table, then what survives a restart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulators.memory_state import MemoryShelf, MemoryState
from tests.simulators.signing import EXPIRES_S, document, envelope, role, signed_document, signer

from vedette.codec import trust_document
from vedette.errors import StoreError, TrustError
from vedette.trust.document import (
    SHELF_NAME,
    VERSION,
    TrustAnchor,
    verify_initial,
    verify_successor,
)
from vedette.trust.ed25519 import Ed25519Verifier

A, B, C, RULES, EVIL = (signer(number) for number in range(1, 6))
OLD_ROOT = role(A, B, threshold=2)
NEW_ROOT = role(B, C, threshold=2)
FIRST = signed_document(document(OLD_ROOT, rules=role(RULES)), A, B)
SECOND_DOCUMENT = document(NEW_ROOT, version=2, rules=role(RULES))
SECOND = signed_document(SECOND_DOCUMENT, A, B, C)
VERIFIER = Ed25519Verifier()


def altered() -> bytes:
    payload = trust_document.encode(SECOND_DOCUMENT)
    whole = envelope(trust_document.PAYLOAD_TYPE, payload, (A, B, C))
    evil = trust_document.encode(document(role(EVIL), version=2))
    return whole.replace(base64_of(payload), base64_of(evil))


def base64_of(payload: bytes) -> bytes:
    import base64  # noqa: PLC0415 - the test's own reading of the format

    return base64.b64encode(payload)


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "signed by the new root only": (
        lambda: signed_document(SECOND_DOCUMENT, B, C),
        "by the root in force: expected signatures of 2",
    ),
    "signed by the old root only": (
        lambda: signed_document(SECOND_DOCUMENT, A, B),
        "by its own root: expected signatures of 2",
    ),
    "signed by nobody we know": (
        lambda: signed_document(SECOND_DOCUMENT, EVIL),
        "a foreign key",
    ),
    "one key signs twice": (
        lambda: signed_document(document(OLD_ROOT, version=2), A, A),
        "expected signatures of 2",
    ),
    "a version is left out": (
        lambda: signed_document(document(OLD_ROOT, version=3), A, B),
        "expected version 2, got 3",
    ),
    "the same version again": (
        lambda: signed_document(document(OLD_ROOT, version=1), A, B),
        "expected version 2, got 1",
    ),
    "the content was altered": (altered, "altered or damaged after signing"),
    "a bundle posing as a document": (
        lambda: envelope("application/vnd.vedette.rules+msgpack", b"", (A, B)),
        "for another purpose",
    ),
    "signed, but no document": (
        lambda: envelope(trust_document.PAYLOAD_TYPE, b"{}", (A, B)),
        "expected the names",
    ),
    "nothing": (lambda: b"", "expected a whole signed DSSE envelope"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_document_that_does_not_follow_is_refused(
    attack: tuple[Callable[[], bytes], str],
) -> None:
    make, reason = attack
    first = verify_initial(FIRST, VERIFIER)
    with pytest.raises(TrustError, match=reason):
        verify_successor(first, make(), VERIFIER)


def test_the_successor_signed_by_both_roots_follows() -> None:
    assert verify_successor(verify_initial(FIRST, VERIFIER), SECOND, VERIFIER) == SECOND_DOCUMENT


def test_the_first_document_needs_its_whole_root() -> None:
    with pytest.raises(TrustError, match="expected signatures of 2"):
        verify_initial(signed_document(document(OLD_ROOT), A), VERIFIER)


class Device:
    """A state and a shelf that outlive the anchor."""

    def __init__(self) -> None:
        self.state, self.shelf = MemoryState(), MemoryShelf()

    def start(self, embedded: bytes = FIRST) -> TrustAnchor:
        return TrustAnchor(embedded, state=self.state, shelf=self.shelf, verifier=VERIFIER)


def test_a_rotated_document_is_in_force_after_a_restart() -> None:
    device = Device()
    device.start().rotate(SECOND, now_s=0)
    assert device.start().document == SECOND_DOCUMENT


def test_a_document_of_a_third_root_follows_after_a_restart() -> None:
    device = Device()
    device.start().rotate(SECOND, now_s=0)
    third = document(role(C), version=3)
    device.start().rotate(signed_document(third, B, C), now_s=0)
    assert device.start().document == third


def test_a_lost_document_is_not_replaced_by_the_older_of_the_package() -> None:
    device = Device()
    device.start().rotate(SECOND, now_s=0)
    device.shelf.files.clear()
    with pytest.raises(TrustError, match="expected version 2 or later, got 1"):
        device.start()


def test_a_damaged_document_gives_way_to_the_newer_package_and_is_named() -> None:
    device = Device()
    device.start().rotate(SECOND, now_s=0)
    device.shelf.files[SHELF_NAME] = b"\x00" * 100
    anchor = device.start(SECOND)
    assert anchor.document == SECOND_DOCUMENT
    assert len(anchor.problems) == 1


def test_a_planted_document_of_a_foreign_root_does_not_count() -> None:
    device = Device()
    device.start()
    device.shelf.files[SHELF_NAME] = signed_document(document(role(EVIL), version=9), EVIL)
    anchor = device.start()
    assert anchor.document.version == 1
    assert "foreign key" in anchor.problems[0]


def test_a_power_cut_between_the_two_writes_of_a_rotation_does_no_harm() -> None:
    device = Device()
    anchor = device.start()
    device.state.is_full = True
    with pytest.raises(StoreError):
        anchor.rotate(SECOND, now_s=0)
    assert anchor.document.version == 1
    device.state.is_full = False
    assert device.start().document == SECOND_DOCUMENT
    assert device.state.number(VERSION) == 2


def test_expiry_refuses_a_new_document_and_never_the_one_in_force() -> None:
    device = Device()
    with pytest.raises(TrustError, match="expired"):
        device.start().rotate(SECOND, now_s=EXPIRES_S)
    assert device.start().document.version == 1
