"""Development keys: made once, kept in `.dev/keys`, and trusted by nobody but this clone.

Rule 1: what exists is reused, so that the second start is fast and the device keeps its name.
Rule 2: the trust document is made anew when its keys are not the ones here any more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.codec import dsse
from vedette.codec import trust_document as codec
from vedette.errors import TrustError
from vedette.model.command import Verb
from vedette.model.trust import EVERY_GROUP, Grant, Role, TrustDocument
from vedette.trust.document import verify_initial
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier
from vedette.trust.keyfile import create_signer, key_id, load_signer
from vedette_dev.workbench import Workbench

ROOT = "root.key"
RULES = "rules.key"
PROFILES = "profiles.key"
OPERATORS = ("alice.key", "bob.key")
"""Two, since some commands need two; each may do everything (agent/docs/commands.md)."""
PLAYBOOKS = "playbooks.key"
DEVICE = "device.key"
VALID_S = 10 * 365 * 86400


def signer(path: Path) -> Ed25519Signer:
    """The key of a file, made when it is not there yet."""
    return load_signer(path) if path.exists() else create_signer(path)


def make_trust(bench: Workbench) -> None:
    """Write a trust document that names the development keys, unless the one there does."""
    root = signer(bench.keys / ROOT)
    purposes = {
        "rules": _role(signer(bench.keys / RULES).public_key),
        "profiles": _role(signer(bench.keys / PROFILES).public_key),
        "operators": _operators([signer(bench.keys / name).public_key for name in OPERATORS]),
        "playbooks": _role(signer(bench.keys / PLAYBOOKS).public_key),
    }
    if _is_current(bench.trust, _role(root.public_key), purposes):
        return
    now_s = int(time.time())
    document = TrustDocument(
        version=now_s,
        issued_s=now_s,
        expires_s=now_s + VALID_S,
        root=_role(root.public_key),
        purposes=purposes,
    )
    payload = codec.encode(document)
    signature = root.sign(dsse.pae(codec.PAYLOAD_TYPE, payload))
    envelope = dsse.encode(codec.PAYLOAD_TYPE, payload, [(key_id(root.public_key), signature)])
    bench.trust.write_bytes(envelope)


def _is_current(path: Path, root: Role, purposes: Mapping[str, Role]) -> bool:
    try:
        document = verify_initial(path.read_bytes(), Ed25519Verifier())
    except (OSError, TrustError):
        return False
    return document.root == root and document.purposes == purposes


def _role(public_key: bytes) -> Role:
    return Role({key_id(public_key): public_key}, 1)


def _operators(public_keys: Sequence[bytes]) -> Role:
    by_id = {key_id(key): key for key in public_keys}
    grant = Grant(frozenset(Verb), frozenset({EVERY_GROUP}))
    return Role(by_id, 1, dict.fromkeys(by_id, grant))
