"""The device's signing key: made once, on the device, and never a second time in silence.

Rule 1: a device that never had a key makes one, at its first start or when it is enrolled. No
package and no image brings one: devices that share a key cannot be told apart.
Rule 2: a device that had a key and has lost it says so and does not start: a new key would make its
fleet distrust it, or hide that somebody took the old one.
Rule 3: which key it had is kept in the state, apart from the key itself.
"""

from __future__ import annotations

from pathlib import Path

from vedette.errors import TrustError
from vedette.ports.state import State
from vedette.store import durable
from vedette.store.state import COPIES
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import create_signer, key_id, load_signer, short_key_id

KEY_ID = "identity.key_id"
"""Of the key that the sentinel last signed with."""
JOURNAL = "journal"


def had_a_start(state_dir: Path) -> bool:
    """Whether a sentinel has run on this state: what it then writes first is there."""
    return any((state_dir / name).exists() for name in (*COPIES, JOURNAL))


def made_once(path: Path, state_dir: Path) -> tuple[Ed25519Signer, bool]:
    """The signing key, and whether it was made now. To be called before the state is opened.

    Args:
        path: of the key.
        state_dir: says whether the device had one.

    Raises:
        TrustError: it cannot be used, or this device had one that is gone.
        StoreError: the disk did not take a new one.
    """
    if path.exists() or path.is_symlink():
        return load_signer(path), False
    if had_a_start(state_dir):
        raise TrustError(
            f"{path}: expected this device's signing key, found none, although it had one: bring "
            "it back; or, if it is lost, make another with vedette enroll --new-key, and have the "
            "fleet take it with vedette fleet enroll --replace"
        )
    return create_signer(path), True


def remember(signer: Ed25519Signer, state: State) -> str:
    """Keep which key is used.

    Returns:
        What to tell when it is another one than before, else "".

    Raises:
        StoreError: the disk did not take it.
    """
    before, now = state.text(KEY_ID), key_id(signer.public_key)
    if before == now:
        return ""
    state.update({KEY_ID: now})
    if not before:
        return ""
    return (
        f"this device signs with key {short_key_id(signer.public_key)} now, before with "
        f"{before[:16]}: who reads its messages must know the new one (vedette fleet enroll "
        "--replace)"
    )


def replaced(path: Path) -> Ed25519Signer:
    """A new signing key; the one before is kept beside it, named by its id.

    Raises:
        TrustError: the one before cannot be read.
        StoreError: the disk did not take it.
    """
    if path.exists():
        before = load_signer(path)
        kept = path.with_name(f"{path.name}.{short_key_id(before.public_key)}")
        durable.rename(path, kept)
    return create_signer(path)
