"""The trust document (issue A) of a repository: the Ed25519 keys of its roles, signed by the root.

Rule 1: a purpose is a delegated role with its Ed25519 keys; "policy" has those of the root. What
the sentinel verifies by itself at every load is thus signed by the same people as the TUF target.
Rule 2: the document holds Ed25519 keys alone, so a threshold counts those: a 2-of-2 with ML-DSA is
2-of-2 in TUF's metadata and 1-of-1 here.
Rule 3: it becomes a target when the roots, old and new, have signed it; until then it waits.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from vedette.cli import _repository_plan as plans
from vedette.cli._files import replace_file
from vedette.cli._repository import Repository
from vedette.cli._repository_plan import ROOT
from vedette.cli._target_staging import stage_release, store_bytes
from vedette.codec import dsse
from vedette.codec import trust_document as codec
from vedette.errors import RequestError, TrustError
from vedette.model.release import Release, ReleaseKind
from vedette.model.trust import Grant, Role, TrustDocument
from vedette.trust import signed
from vedette.trust.document import verify_initial
from vedette.trust.ed25519 import Ed25519Verifier

POLICY = "policy"
NAME = "root"
_WHAT = "trust document"


def device_file(repository: Repository) -> Path:
    """What a device is built with."""
    return repository.folder / "device" / "trust.json"


def in_force(repository: Repository) -> TrustDocument | None:
    """The newest one that was wholly signed.

    Raises:
        RequestError: the file is damaged.
    """
    path = device_file(repository)
    if not path.exists():
        return None
    try:
        return verify_initial(path.read_bytes(), Ed25519Verifier())
    except TrustError as error:
        raise RequestError(f"{path}: {error}") from error


def stage_trust(repository: Repository) -> list[str]:
    """Write the next trust document as the plan has it, sign it, and stage it as a target.

    Returns:
        Lines for people; none if nothing changed.

    Raises:
        RequestError: a role has no Ed25519 key, or none of the root's is here.
    """
    before = in_force(repository)
    made = _document(repository, before.version + 1 if before else 1)
    if before and (before.root, before.purposes) == (made.root, made.purposes):
        return []
    return _keep(repository, codec.encode(made), {})


def sign_trust(repository: Repository) -> list[str]:
    """Add signatures of the keys at hand to a staged trust document, if there is one."""
    if not repository.staged_trust.exists():
        return []
    envelope = dsse.decode(repository.staged_trust.read_bytes())
    return _keep(repository, envelope.payload, dict(envelope.signatures))


def purpose_role(repository: Repository, purpose: str) -> Role:
    """Whose signatures a device counts for a purpose.

    Raises:
        RequestError: there is no trust document, or it has no such purpose.
    """
    document = in_force(repository)
    role = document.purposes.get(purpose) if document else None
    if role is None:
        raise RequestError(f"{device_file(repository)}: expected keys for {purpose}, found none")
    return role


def _document(repository: Repository, version: int) -> TrustDocument:
    root = _role(repository, ROOT)
    days = repository.plan.roles[ROOT].days
    return TrustDocument(
        version=version,
        issued_s=int(repository.now.timestamp()),
        expires_s=int((repository.now + timedelta(days=days)).timestamp()),
        root=root,
        purposes={**{role: _role(repository, role) for role in plans.DELEGATED}, POLICY: root},
    )


def _role(repository: Repository, name: str) -> Role:
    plan = repository.plan.roles[name]
    infos = [repository.keys.info(key) for key in plan.keys]
    raw = {info.name: bytes.fromhex(info.raw_hex) for info in infos if info.raw_hex}
    if not raw:
        raise RequestError(f"role {name}: expected an Ed25519 key: devices check content with it")
    keys = {codec.key_id(key): key for key in raw.values()}
    grants: dict[str, Grant] = {}
    if name == codec.OPERATORS:
        given = repository.plan.grants
        grants = {codec.key_id(key): given[who] for who, key in raw.items() if who in given}
    return Role(keys, min(plan.threshold, len(keys)), grants)


def _keep(repository: Repository, payload: bytes, signatures: dict[str, bytes]) -> list[str]:
    """Sign what is there; what is then complete becomes a target, the rest waits."""
    made, before = codec.decode(payload), in_force(repository)
    roles = [made.root, *([before.root] if before else [])]
    found = signatures | _signatures(repository, dsse.pae(codec.PAYLOAD_TYPE, payload), roles)
    if not found:
        raise RequestError(
            "the trust document: expected an Ed25519 key of the root here to sign it"
        )
    data = dsse.encode(codec.PAYLOAD_TYPE, payload, sorted(found.items()))
    try:
        for role in roles:
            signed.require(dsse.decode(data), role, Ed25519Verifier(), _WHAT)
    except TrustError as error:
        repository.staged_folder.mkdir(exist_ok=True)
        replace_file(repository.staged_trust, data)
        return [f"trust document {made.version} waits for the root: {error}"]
    _stage(repository, made, data)
    device_file(repository).parent.mkdir(exist_ok=True)
    replace_file(device_file(repository), data)
    repository.staged_trust.unlink(missing_ok=True)
    return [f"trust document {made.version}: {len(made.purposes)} purposes, signed by the root"]


def _signatures(repository: Repository, message: bytes, roles: list[Role]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in repository.at_hand().values():
        key_id = codec.key_id(bytes.fromhex(repository.keys.info(name).raw_hex))
        if any(key_id in role.keys for role in roles):
            found[key_id] = bytes.fromhex(repository.keys.sign(name, message).signature)
    return found


def _stage(repository: Repository, made: TrustDocument, envelope: bytes) -> None:
    path = f"trust/{NAME}/trust-{made.version}.json"
    release = Release(
        kind=ReleaseKind.TRUST,
        name=NAME,
        version=str(made.version),
        counter=made.version,
        issued_s=made.issued_s,
        target=store_bytes(repository, path, envelope),
    )
    # A device applies one version after the other (trust/document.py), so all of them stay.
    stage_release(repository, release, keep=made.version)
