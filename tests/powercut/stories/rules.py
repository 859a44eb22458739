"""Signed content as it is accepted: the file on the shelf, its floor, its digest, the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require
from tests.simulators.signing import BUILD_S, ISSUED_S, document, envelope, role, signer

from vedette.codec.bundle import PAYLOAD_TYPE
from vedette.errors import TrustError
from vedette.model.rule import Bundle
from vedette.store.shelf import FileShelf
from vedette.store.state import FileState
from vedette.trust.content_gate import ContentGate, ContentKind
from vedette.trust.ed25519 import Ed25519Verifier

BUNDLES = 5
_ROOT, _RULES = signer(1), signer(2)
_DAY_S = 86_400


def play(folder: Path, mark: Mark) -> None:
    """One bundle after the other is taken into use; the second one twice."""
    gate = _gate(folder)
    for number in range(1, BUNDLES + 1):
        mark(f"begun {number}")
        gate.accept(_bundle(number), ISSUED_S)
        mark(f"done {number}")
        if number == 2:
            gate.accept(_bundle(number), ISSUED_S)


def check(folder: Path, marks: Sequence[str]) -> None:
    """The last bundle promised, or the one begun, loads; nothing older is accepted again."""
    promises = Promises(marks)
    gate = _gate(folder)
    found = gate.load(ISSUED_S)
    promises.require(found.content.counter if found else 0, "bundle in use")
    require(found is None or not found.problems, f"{found}")
    for old in range(1, promises.last("done")):
        try:
            gate.accept(_bundle(old, name="old"), ISSUED_S)
        except TrustError:
            continue
        require(is_good=False, what=f"bundle {old} was accepted after {promises.last('done')}")


def _bundle(counter: int, name: str = "core") -> bytes:
    fields = {
        "name": name,
        "counter": counter,
        "issued_s": ISSUED_S + counter,
        "expires_s": ISSUED_S + _DAY_S,
    }
    return envelope(PAYLOAD_TYPE, json.dumps(fields).encode(), (_RULES,))


def _parse(payload: bytes) -> Bundle:
    digest = hashlib.sha256(payload).hexdigest()
    return Bundle(rules=(), redactions=(), digest=digest, **json.loads(payload))


def _gate(folder: Path) -> ContentGate[Bundle]:
    return ContentGate(
        ContentKind("rules", "bundle", PAYLOAD_TYPE),
        document=document(role(_ROOT), rules=role(_RULES)),
        verifier=Ed25519Verifier(),
        state=FileState(folder / "state"),
        shelf=FileShelf(folder / "state" / "rules", max_bytes=1 << 16),
        parse=_parse,
        build_s=BUILD_S,
    )
