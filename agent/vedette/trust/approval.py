"""How an operator's key approves a command; the device's half is trust/operator_gate.py."""

from __future__ import annotations

from dataclasses import replace

from vedette.codec import command as codec
from vedette.codec.trust_document import key_id
from vedette.errors import RequestError
from vedette.model.command import Approval, Command
from vedette.ports.signer import Signer


def approve(command: Command, signer: Signer, number: int) -> Command:
    """The command with one more signature; what it says stays as it is.

    Args:
        command: with or without approvals of other keys.
        signer: an operator's private key.
        number: above every one that this key has used for this audience.

    Raises:
        RequestError: this key has approved it already: two keys are two persons.
    """
    name = key_id(signer.public_key)
    if any(approval.key_id == name for approval in command.approvals):
        raise RequestError(
            f"key {name[:16]} has approved this command already; another operator has to"
        )
    signature = signer.sign(codec.signed_bytes(command, name, number))
    approvals = sorted((*command.approvals, Approval(name, number, signature)))
    return replace(command, approvals=tuple(approvals))
