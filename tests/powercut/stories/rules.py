"""Signed content: accepted, on trial, settled, given back; its floor, its digest, the time."""

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
    """One bundle after the other is taken into use; each second one is given back."""
    gate = _gate(folder)
    mark("used 0")
    used = 0
    for number in range(1, BUNDLES + 1):
        mark(f"begun {number}")
        mark(f"used {used},{number}")
        accepted = gate.accept(_bundle(number), ISSUED_S)
        mark(f"done {number}")
        mark(f"used {number}")
        if number == 1:
            gate.accept(_bundle(number), ISSUED_S)
        if number % 2 and number > 1:
            mark(f"used {used},{number}")
            gate.withdraw(accepted.content.digest)
            mark(f"used {used}")
        else:
            gate.settle(accepted.content.digest)
            used = number


def check(folder: Path, marks: Sequence[str]) -> None:
    """What was in use, or was to be, loads; nothing old is accepted, nothing withdrawn returns."""
    promises = Promises(marks)
    gate = _gate(folder)
    found = gate.load(ISSUED_S)
    used = [mark.partition(" ")[2] for mark in marks if mark.startswith("used ")]
    number = found.content.counter if found else 0
    allowed = {int(one) for one in used[-1].split(",")} if used else {0}
    require(number in allowed, f"bundle {number} is in use, expected one of {allowed}")
    require(found is None or number < promises.last("done") or not found.problems, f"{found}")
    for old in range(1, promises.last("done")):
        _require_refused(folder, _bundle(old, name="old"), f"bundle {old}")
    if number < promises.last("done") and allowed == {number}:
        _require_refused(folder, _bundle(promises.last("done")), "what was given back")


def _require_refused(folder: Path, data: bytes, what: str) -> None:
    try:
        _gate(folder).accept(data, ISSUED_S)
    except TrustError:
        return
    require(is_good=False, what=f"{what} was accepted")


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
