"""Which operator's command may be carried out on this device, and why another may not.

Rule 1: signatures are checked before anything else that the command says is believed.
Rule 2: each key has its own numbers for a device and for each group; one that is not above the last
is refused, and the new ones are on the disk before the command is handed on.
Rule 3: a refused command uses up no number: whoever cuts a signature off a command, or sends it to
the wrong device, takes nothing from the right one.
Rule 4: promotion, and isolating a group or taking it back a release, need two keys which both may
do it alone; the trust document can ask for more, never for less.
Rule 5: dates are held against the trusted time floor (trust/time_floor.py). No command is valid for
longer than LONGEST_VALID_S, so one that a broker kept back dies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from vedette.codec import command as codec
from vedette.codec.text import quoted
from vedette.errors import ParseError, TrustError
from vedette.model.command import Approval, Audience, Command, Verb
from vedette.model.trust import EVERY_GROUP, Role, TrustDocument
from vedette.ports.signer import Verifier
from vedette.ports.state import State
from vedette.trust.time_floor import trusted_now

PURPOSE = "operators"
LONGEST_VALID_S = 7 * 86_400
"""Ours: as long as a broker keeps the session of a device that is off."""
TWO_KEYS = 2
_SHORT = 16


class RefusedCommandError(TrustError):
    """A command that may not be carried out.

    Attributes:
        command: what it said; None for what is no command.
        is_signed: an operator of the trust document signed it, so what it says of itself is true.
    """

    def __init__(self, message: str, command: Command | None, *, is_signed: bool) -> None:
        super().__init__(message)
        self.command = command
        self.is_signed = is_signed


class Station(NamedTuple):
    """Who this device is: what commands may be addressed to."""

    tenant: str
    device: str
    groups: tuple[str, ...] = ()

    def hears(self, audience: Audience) -> bool:
        """Whether a command for this audience is for this device."""
        if audience.tenant != self.tenant:
            return False
        return audience.name in self.groups if audience.is_group else audience.name == self.device


class OperatorGate:
    """Decides about commands.

    Args:
        station: this device.
        document: the trust document in force, asked for at each command since it may rotate.
        verifier: the Ed25519 implementation.
        state: keeps the numbers.
        build_s: Unix time at which this agent was built.
    """

    def __init__(
        self,
        station: Station,
        *,
        document: Callable[[], TrustDocument],
        verifier: Verifier,
        state: State,
        build_s: int,
    ) -> None:
        self._station, self._document, self._verifier = station, document, verifier
        self._state, self._build_s = state, build_s

    def accept(self, data: bytes, wall_s: float) -> Command:
        """Let a command pass, once; its numbers are on the disk when this returns.

        Args:
            data: as it came.
            wall_s: Unix time as this device believes it.

        Raises:
            RefusedCommandError: it may not be carried out; the message names the reason.
            StoreError: the disk did not take the numbers; nothing may be carried out.
        """
        try:
            command = codec.decode(data)
        except ParseError as error:
            words = f"expected an operator's command: {error}"
            raise RefusedCommandError(words, None, is_signed=False) from error
        role = self._document().purposes.get(PURPOSE)
        wrong = self._why_unsigned(command, role)
        if wrong or role is None:
            raise RefusedCommandError(wrong, command, is_signed=False)
        wrong = (
            self._why_not_ours(command.audience)
            or self._why_not_allowed(command, role)
            or self._why_not_now(command, trusted_now(self._state, self._build_s, wall_s))
            or self._why_not_new(command)
        )
        if wrong:
            raise RefusedCommandError(wrong, command, is_signed=True)
        self._state.update({_counter(a, command.audience): a.number for a in command.approvals})
        return command

    def _why_unsigned(self, command: Command, role: Role | None) -> str:
        if role is None:
            return f"the trust document (version {self._document().version}) names no operators"
        for approval in command.approvals:
            key = role.keys.get(approval.key_id)
            if key is None:
                known = ", ".join(sorted(key_id[:_SHORT] for key_id in role.keys))
                return f"key {approval.key_id[:_SHORT]} is no operator's; there are {known}"
            message = codec.signed_bytes(command, approval.key_id, approval.number)
            if not self._verifier.verify(key, approval.signature, message):
                return (
                    f"the signature of key {approval.key_id[:_SHORT]} does not match: the command "
                    "was altered, or not signed by it"
                )
        return ""

    def _why_not_ours(self, audience: Audience) -> str:
        station = self._station
        if station.hears(audience):
            return ""
        groups = f" of groups {', '.join(station.groups)}" if station.groups else " of no group"
        return f"it is for {audience}, this is device {station.tenant}/{station.device}{groups}"

    def _why_not_allowed(self, command: Command, role: Role) -> str:
        if command.verb not in frozenset(Verb):
            return f"this agent knows no {quoted(command.verb)}: a newer one may"
        for approval in command.approvals:
            grant = role.grants.get(approval.key_id)
            name = approval.key_id[:_SHORT]
            if grant is None or command.verb not in grant.verbs:
                allowed = ", ".join(sorted(grant.verbs)) if grant else "nothing"
                return f"key {name} may not {command.verb}, it may {allowed}"
            if not self._may_command(grant.groups, command.audience):
                return f"key {name} may command {_groups(grant.groups)}, not {command.audience}"
        needed = max(role.threshold, TWO_KEYS if _needs_two(command) else 1)
        if len(command.approvals) < needed:
            what = f"{command.verb} for a group" if command.audience.is_group else command.verb
            return (
                f"{what} needs {needed} operators' keys, got {len(command.approvals)}: have it "
                "approved (vedette fleet approve)"
            )
        return ""

    def _may_command(self, groups: Collection[str], audience: Audience) -> bool:
        if EVERY_GROUP in groups:
            return True
        if audience.is_group:
            return audience.name in groups
        return not set(self._station.groups).isdisjoint(groups)

    def _why_not_now(self, command: Command, now_s: float) -> str:
        if command.expires_s <= now_s:
            return (
                f"it is late: it expired at {command.expires_s}, it is {now_s:.0f} now; send a new "
                "one, or set the clock of the device or of the operator if it is wrong"
            )
        if command.expires_s - command.issued_s > LONGEST_VALID_S:
            return (
                f"it is valid for {command.expires_s - command.issued_s} s, at most "
                f"{LONGEST_VALID_S} are taken"
            )
        return ""

    def _why_not_new(self, command: Command) -> str:
        for approval in command.approvals:
            last = self._state.number(_counter(approval, command.audience))
            if approval.number <= last:
                return (
                    f"it is a replay: expected a number above {last} of key "
                    f"{approval.key_id[:_SHORT]}, got {approval.number}"
                )
        return ""


def _needs_two(command: Command) -> bool:
    if command.verb == Verb.PROMOTE:
        return True
    return command.audience.is_group and command.verb in {Verb.ISOLATE, Verb.ROLLBACK}


def _counter(approval: Approval, audience: Audience) -> str:
    kind = "group" if audience.is_group else "device"
    return f"{PURPOSE}.{kind}.{audience.name}.{approval.key_id[:32]}"


def _groups(groups: Collection[str]) -> str:
    return f"groups {', '.join(sorted(groups))}"
