"""Keys counted by what they are, not by what they are called.

tuf counts key ids, and a key may stand under two of them: by mistake, while a repository changes
how it names keys, or because one holder wants to sign for two.
"""

from __future__ import annotations

from securesystemslib.signer import Signature
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Key, Root, Targets


def require_distinct(
    delegator: Root | Targets, role: str, payload: bytes, signatures: dict[str, Signature]
) -> None:
    """One key under two ids signs once.

    Raises:
        UnsignedMetadataError: without its second name the threshold is not met.
    """
    named = delegator.get_delegated_role(role)
    known = delegator.keys if isinstance(delegator, Root) else _delegated_keys(delegator)
    if len({_value(known[keyid]) for keyid in named.keyids if keyid in known}) == len(named.keyids):
        return
    signed = delegator.get_verification_result(role, payload, signatures).signed
    if len({_value(key) for key in signed.values()}) < named.threshold:
        raise UnsignedMetadataError(
            f"{role[:80]!a} was signed by {named.threshold} names of fewer keys"
        )


def _value(key: Key) -> str:
    return str(sorted(key.keyval.items()))


def _delegated_keys(delegator: Targets) -> dict[str, Key]:
    return delegator.delegations.keys if delegator.delegations is not None else {}
