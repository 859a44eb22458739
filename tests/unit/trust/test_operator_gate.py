"""Which commands pass: attacks as a table, then the numbers that outlive a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.simulators.memory_state import MemoryState
from tests.simulators.operators import (
    ALICE,
    BOB,
    CAMERAS,
    CAROL,
    DAVE,
    HERE,
    MALLORY,
    STATION,
    VALID_S,
    command,
    operators,
    trust_document,
    unsigned,
)
from tests.simulators.signing import BUILD_S, ISSUED_S

from vedette.codec import command as codec
from vedette.errors import RequestError, StoreError
from vedette.model.command import Approval, Audience, Command
from vedette.model.trust import Role
from vedette.trust.approval import approve
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.operator_gate import OperatorGate, RefusedCommandError, Station
from vedette.trust.time_floor import TIME_FLOOR

NOW_S = ISSUED_S + 5.0


class Device:
    """A state that outlives the gate."""

    def __init__(self, station: Station = STATION, role: Role | None = None) -> None:
        self.state = MemoryState()
        self.station, self.role = station, role

    def accept(self, data: bytes, wall_s: float = NOW_S) -> Command:
        gate = OperatorGate(
            self.station,
            document=lambda: trust_document(self.role),
            verifier=Ed25519Verifier(),
            state=self.state,
            build_s=BUILD_S,
        )
        return gate.accept(data, wall_s)

    def refuses(self, data: bytes, wall_s: float = NOW_S) -> str:
        before = dict(self.state.values)
        with pytest.raises(RefusedCommandError) as caught:
            self.accept(data, wall_s)
        assert self.state.values == before, "a refused command leaves no trace"
        return str(caught.value)


def altered(data: bytes, **changes: object) -> bytes:
    """The command with the same signatures under something else."""
    return codec.encode(replace(codec.decode(data), **changes))  # type: ignore[arg-type]


def renamed(data: bytes, key: bytes) -> bytes:
    """The signature of one key told as another's."""
    found = codec.decode(data)
    (approval,) = found.approvals
    wrong = Approval(codec.digest(key), approval.number, approval.signature)
    return codec.encode(replace(found, approvals=(wrong,)))


def combined(one: bytes, other: bytes) -> bytes:
    """The command of the first with the signatures of both."""
    found = codec.decode(one)
    approvals = sorted((*found.approvals, *codec.decode(other).approvals))
    return codec.encode(replace(found, approvals=tuple(approvals)))


OTHER_DEVICE = HERE._replace(name="cam-8")
ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "garbage": (lambda: b"isolate!", "expected an operator's command"),
    "cut short": (lambda: command()[:-1], "expected an operator's command"),
    "two commands in one": (lambda: command() + command(), "expected an operator's command"),
    "signed by a stranger": (lambda: command("kill", HERE, MALLORY), "is no operator's"),
    "signed with the rules' key": (lambda: command("promote", HERE, MALLORY), "is no operator's"),
    "a verb changed after signing": (
        lambda: altered(command("acknowledge"), verb="isolate"), "altered",
    ),
    "an argument changed after signing": (
        lambda: altered(command("kill", arguments={"pid": "7"}), arguments={"pid": "1"}), "altered",
    ),
    "sent on to a device that was not meant": (
        lambda: altered(command("isolate", OTHER_DEVICE), audience=HERE), "altered",
    ),
    "made valid for longer": (
        lambda: altered(command(), expires_s=ISSUED_S + 2 * VALID_S), "altered",
    ),
    "a used number raised": (
        lambda: altered(command(), approvals=(codec.decode(command()).approvals[0]._replace(
            number=99),)), "altered",
    ),
    "the signature of one key told as another's": (
        lambda: renamed(command("kill", HERE, CAROL), ALICE.public_key), "altered",
    ),
    "for another device": (lambda: command("kill", OTHER_DEVICE), "it is for device acme/cam-8"),
    "for a group that this device is not of": (
        lambda: command("kill", CAMERAS._replace(name="doors")), "it is for group acme/doors",
    ),
    "for a device of another tenant": (
        lambda: command("kill", HERE._replace(tenant="other")), "it is for device other/cam-7",
    ),
    "for a group that is named as this device is": (
        lambda: command("kill", HERE._replace(is_group=True)), "it is for group acme/cam-7",
    ),
    "for a device that is named as this one's group is": (
        lambda: command("kill", CAMERAS._replace(is_group=False)), "it is for device acme/cameras",
    ),
    "a verb that its key does not have": (
        lambda: command("undo", HERE, CAROL), "may not undo, it may isolate, kill, release",
    ),
    "a verb of a later edition": (lambda: command("reflash"), 'knows no "reflash"'),
    "a device outside its key's groups": (
        lambda: command("collect", HERE, DAVE), "may command groups site-9, not device acme/cam-7",
    ),
    "a group outside its key's groups": (
        lambda: command("kill", CAMERAS._replace(name="site-3"), CAROL),
        "may command groups cameras, not group acme/site-3",
    ),
    "promotion by one key": (lambda: command("promote"), "promote needs 2 operators' keys, got 1"),
    "a group isolated by one key": (
        lambda: command("isolate", CAMERAS), "isolate for a group needs 2 operators' keys, got 1",
    ),
    "promotion by two keys of which one may not": (
        lambda: command("promote", HERE, ALICE, CAROL), "may not promote",
    ),
    "a second key's signature from another command": (
        lambda: combined(command("promote"), command("demote", HERE, BOB)), "altered",
    ),
    "a second key's signature from the command before": (
        lambda: combined(
            command("promote", HERE, ALICE, issued_s=ISSUED_S + 1), command("promote", HERE, BOB)
        ),
        "altered",
    ),
    "late": (lambda: command(issued_s=ISSUED_S - VALID_S), "it is late"),
    "valid for eight days": (lambda: command(valid_s=8 * 86_400), "at most 604800 are taken"),
}  # fmt: skip


@pytest.mark.parametrize(("attack", "reason"), ATTACKS.values(), ids=ATTACKS.keys())
def test_refused(attack: Callable[[], bytes], reason: str) -> None:
    assert reason in Device().refuses(attack())


GOOD = {
    "for this device": command(),
    "for this device, by a key of its group": command("isolate", HERE, CAROL),
    "for a group of this device": command("kill", CAMERAS, CAROL),
    "promotion by two keys": command("promote", HERE, ALICE, BOB),
    "a group isolated by two keys": command("isolate", CAMERAS, ALICE, CAROL),
    "approved by one more than needed": command("kill", HERE, ALICE, BOB),
    "its last second": command(issued_s=ISSUED_S + 6 - VALID_S),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_passes_once_and_is_a_replay_after_that_over_a_restart_too(data: bytes) -> None:
    device = Device()
    assert codec.encode(device.accept(data)) == data
    assert "it is a replay" in device.refuses(data)


def test_the_numbers_are_on_the_disk_before_the_command_is_handed_on() -> None:
    device = Device()
    device.state.is_full = True
    with pytest.raises(StoreError):
        device.accept(command())
    device.state.is_full = False
    assert device.accept(command()).verb == "isolate"


def test_each_key_counts_for_itself_and_for_each_device_and_group() -> None:
    device = Device()
    device.accept(command("kill", HERE, ALICE, number=5))
    assert "above 5" in device.refuses(
        command("kill", HERE, ALICE, number=5, issued_s=ISSUED_S + 1)
    )
    assert "above 5" in device.refuses(command("kill", HERE, ALICE, number=4))
    device.accept(command("kill", HERE, CAROL, number=1))
    device.accept(command("kill", CAMERAS, ALICE, number=1))
    device.accept(command("kill", CAMERAS._replace(name="site-3"), ALICE, number=1))
    device.accept(command("kill", HERE, ALICE, number=6))


def test_a_signature_cut_off_costs_the_whole_command_nothing() -> None:
    device = Device()
    whole = command("promote", HERE, ALICE, BOB)
    for approval in codec.decode(whole).approvals:
        assert "got 1" in device.refuses(altered(whole, approvals=(approval,)))
    device.accept(whole)


def test_a_one_key_command_with_one_of_two_signatures_is_not_done_twice() -> None:
    device = Device()
    whole = command("kill", HERE, ALICE, BOB)
    first = codec.decode(whole).approvals[0]
    device.accept(altered(whole, approvals=(first,)))
    assert "it is a replay" in device.refuses(whole)


def test_who_is_refused_is_told_whether_an_operator_signed_it() -> None:
    with pytest.raises(RefusedCommandError) as caught:
        Device().accept(command("kill", OTHER_DEVICE))
    assert caught.value.is_signed
    with pytest.raises(RefusedCommandError) as caught:
        Device().accept(command("kill", HERE, MALLORY))
    assert not caught.value.is_signed
    assert caught.value.command is not None


def test_a_clock_in_1970_lets_nothing_late_in_once_the_time_floor_has_risen() -> None:
    device = Device()
    device.accept(command(number=1), wall_s=0.0)
    device.state.update({TIME_FLOOR: ISSUED_S + VALID_S})
    assert "it is late" in device.refuses(command(number=2), wall_s=0.0)


def test_a_command_from_before_the_agent_was_built_is_late_whatever_the_clock_says() -> None:
    assert "it is late" in Device().refuses(command(issued_s=BUILD_S - 1000), wall_s=0.0)


def test_without_operators_in_the_trust_document_nobody_commands() -> None:
    gate = OperatorGate(
        STATION,
        document=lambda: replace(trust_document(), purposes={}),
        verifier=Ed25519Verifier(),
        state=MemoryState(),
        build_s=BUILD_S,
    )
    with pytest.raises(RefusedCommandError, match="names no operators"):
        gate.accept(command(), NOW_S)


def test_a_key_without_a_grant_may_command_nothing() -> None:
    assert "it may nothing" in Device(role=replace(operators(), grants={})).refuses(command())


def test_the_trust_document_can_ask_for_two_keys_for_everything_and_never_for_one() -> None:
    assert "kill needs 2" in Device(role=replace(operators(), threshold=2)).refuses(command("kill"))


def test_a_device_of_no_group_obeys_only_keys_for_all_devices() -> None:
    device = Device(Station("acme", "cam-7"))
    assert "may command groups cameras" in device.refuses(command("kill", HERE, CAROL))
    device.accept(command("kill", HERE, ALICE))


def test_no_key_approves_twice() -> None:
    with pytest.raises(RequestError, match="has approved this command already"):
        approve(approve(unsigned(), ALICE, 1), ALICE, 2)


def test_the_audience_says_whom_in_words() -> None:
    assert str(Audience("acme", is_group=True, name="cameras")) == "group acme/cameras"
