"""Whether what is brought to a device may be put there: verified as the agent itself will.

Rule 1: nothing is written here, and no floor is moved: the agent decides once more at every load.
Rule 2: a device believes one root. Another one is a new owner, whom the old one's journal and
floors do not concern: that is a device given away, not an enrolment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vedette.cli._enroll_offer import Brought
from vedette.cli._enroll_tls import certificates
from vedette.codec import bundle, playbook, profile
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.daemon.assembly import PLAYBOOKS, PROFILES, RULES
from vedette.errors import TrustError
from vedette.model.trust import TrustDocument
from vedette.store import durable
from vedette.trust.content_gate import ContentKind, Numbered, verified
from vedette.trust.document import verify_initial
from vedette.trust.ed25519 import Ed25519Verifier

_CONTENT: Mapping[str, tuple[ContentKind, Callable[[bytes], Numbered]]] = {
    "rules": (RULES, bundle.decode),
    "playbooks": (PLAYBOOKS, playbook.decode),
    "profile": (PROFILES, profile.decode),
}


def trust(brought: Brought | None, installed: Path) -> TrustDocument | None:
    """The trust document that will be in force, or None where there is none.

    Args:
        brought: a new one, if there is one.
        installed: where it lies on the device.

    Raises:
        TrustError: it cannot be trusted, or would replace another root, or a newer one of its own.
    """
    before = durable.read(installed, MAX_ENVELOPE_BYTES)
    known = _document(before, installed) if before is not None else None
    if brought is None:
        return known
    new = _document(brought.data, brought.path)
    if known is None or before == brought.data:
        return new
    if new.root.keys != known.root.keys:
        raise TrustError(
            f"{brought.path}: expected the root that this device believes, {_keys(known)}, got "
            f"{_keys(new)}: a device keeps its root. To give it to another owner: stop the agent, "
            f"remove {installed} and the state folder, and enroll it anew"
        )
    if new.version < known.version:
        raise TrustError(
            f"{brought.path}: expected version {known.version} or later, which this device has, "
            f"got {new.version}"
        )
    return new


def content(flag: str, brought: Brought, document: TrustDocument | None, now_s: float) -> None:
    """Let signed rules, playbooks or a profile pass that the trust document's keys signed.

    Args:
        flag: which of the three.
        brought: the file.
        document: names the keys.
        now_s: Unix time, not before this agent was built.

    Raises:
        TrustError: it may not be used here; the message names the file.
    """
    if document is None:
        raise TrustError(
            f"{brought.path}: expected a root of trust before anything that it has to vouch for: "
            "bring trust.json too"
        )
    kind, parse = _CONTENT[flag]
    try:
        found = verified(kind, brought.data, document, Ed25519Verifier(), parse)
    except TrustError as error:
        raise TrustError(f"{brought.path}: {error}") from error
    if found.expires_s <= now_s:
        raise TrustError(
            f"{brought.path}: expired at {found.expires_s}, it is {now_s:.0f} now: have a newer "
            "one signed, or set the clock if it is wrong"
        )


def release_root(brought: Brought) -> None:
    """Let root metadata pass that its own keys signed (TUF 5.3).

    Raises:
        TrustError: it is none, or not enough of its own keys signed it.
    """
    from tuf.api.exceptions import RepositoryError  # noqa: PLC0415 (25 MB, and rarely brought)
    from tuf.api.metadata import Metadata, Root  # noqa: PLC0415

    try:
        found = Metadata[Root].from_bytes(brought.data)
        if not isinstance(found.signed, Root):
            raise TrustError(
                f"{brought.path}: expected root metadata, got {type(found.signed).__name__}"
            )
        found.signed.verify_delegate("root", found.signed_bytes, found.signatures)
    except (RepositoryError, ValueError, KeyError, TypeError) as error:
        raise TrustError(
            f"{brought.path}: expected root metadata signed by its own keys (device/root.json of "
            f"vedette repo init): {error}"
        ) from error


def authority(brought: Brought) -> None:
    """Let a file of certificates pass.

    Raises:
        TrustError: it holds none.
    """
    certificates(brought.data, str(brought.path))


def _document(data: bytes, path: Path) -> TrustDocument:
    try:
        return verify_initial(data, Ed25519Verifier())
    except TrustError as error:
        raise TrustError(f"{path}: {error}") from error


def _keys(document: TrustDocument) -> str:
    return ", ".join(sorted(keyid[:16] for keyid in document.root.keys))
