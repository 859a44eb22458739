"""10,000 alerts within an hour that somebody makes on purpose: budgets hold, the device works on.

Whoever can make alerts would like our responses to do the damage: to end the device's own service,
take its files and cut its peers, or to do so much against decoys that nothing is left of it.
"""

from __future__ import annotations

import pytest
from tests.playbook.test_defence import (
    BLOCK,
    DONE,
    HIDE,
    KILL,
    UNDONE,
    Kind,
    Story,
    playbooks,
    started,
)

from vedette.core.commands import Append, Command, Undo
from vedette.core.inputs import EssentialProbed, Guarded, Input
from vedette.model.event import ConnectionOpened, Event, FileChanged
from vedette.model.playbook import Playbook
from vedette.model.response import FileTarget, Mode, Order, PeerTarget, ProcessTarget

ALERTS = 10_000
HOUR_S = 3600.0
WALL = 1_795_000_000.0
PER_HOUR = 60
SERVICE, MODEL, CLOUD = 50, "/srv/camera/authorized_keys", "198.51.100.7"
"""What the device is there for: a process, its file (named to match a rule), its peer."""


class Device(Story):
    """One that works as long as nobody touches its service; it carries out what is asked."""

    def __init__(self, *books: Playbook) -> None:
        self._by_kind: dict[type[Command], list[Command]] = {}
        super().__init__(playbooks(*books, promoted=books))
        self.is_up = True
        self.tell(
            Guarded(
                0.0, WALL, frozenset({SERVICE}), frozenset({CLOUD}), frozenset(),
                frozenset({MODEL}),
            )
        )  # fmt: skip
        self.see(0.5, started(SERVICE, 1, "/usr/bin/camera", 0.5))
        self._handled = 0

    def tell(self, given: Input) -> list[Command]:
        """Without the recording that stories keep: an hour of it takes minutes to put together."""
        commands = self.agent.handle(given)
        for one in commands:
            self._by_kind.setdefault(type(one), []).append(one)
        return commands

    def asked(self, kind: type[Kind]) -> list[Kind]:
        """Looked up: it is asked after each of 10,000 alerts."""
        return self._by_kind.get(kind, [])  # type: ignore[return-value,arg-type] # by their kind

    def live(self, at_s: float, *events: Event) -> None:
        """An alert comes, and what is asked is done at once."""
        self.see(at_s, *events)
        self.tick(at_s)
        for command in self.asked(Undo)[self._handled :]:
            self._handled += 1
            order = next(one for one in self.orders() if one.response_id == command.response_id)
            self.outcome(at_s, order, UNDONE, undo=True)

    def carry_out(self, at_s: float, order: Order) -> None:
        assert order.mode is Mode.ENFORCE
        if _hurts(order):
            self.is_up = False
        self.outcome(at_s, order, DONE)


def _hurts(order: Order) -> bool:
    match order.target:
        case ProcessTarget(key, _, _, kin):
            return SERVICE in {key.pid, *(one.pid for one in kin)}
        case FileTarget(path, _):
            return path == MODEL
        case PeerTarget(address):
            return address == CLOUD
        case _:
            return True


def by_process(number: int, at_s: float) -> Event:
    """Every tenth is a child of the service that runs what was dropped; others are decoys."""
    parent = SERVICE if number % 10 == 0 else 1
    return started(1000 + number, parent, f"/tmp/x{number}", at_s)


def by_file(number: int, at_s: float) -> Event:
    path = MODEL if number % 10 == 0 else f"/srv/{number}/authorized_keys"
    return FileChanged(at_s, "fanotify", "modified", path, "", 0, 0o600, 0, False, "")


def by_peer(number: int, at_s: float) -> Event:
    address = CLOUD if number % 10 == 0 else f"203.{number >> 8}.{number & 255}.9"
    return ConnectionOpened(at_s, "ebpf", "tcp", True, "10.0.0.2", 5, address, 4444, 0, -1)


WAYS = {"processes": (KILL, by_process), "files": (HIDE, by_file), "peers": (BLOCK, by_peer)}


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
def test_budgets_hold_and_the_service_is_never_touched(way: str) -> None:
    book, alert = WAYS[way]
    device = Device(book)
    done = 0
    for number in range(ALERTS):
        at_s = 1.0 + number * HOUR_S / ALERTS
        device.live(at_s, alert(number, at_s))
        for order in device.orders()[done:]:
            device.carry_out(at_s, order)
        done = len(device.orders())
    assert device.is_up
    assert 0 < done <= PER_HOUR
    assert done >= PER_HOUR // 2, "the budget was spent on what must never be touched"
    said = device.asked(Append)
    responses = [one for one in said if one.draft.kind == "response"]
    assert len(responses) <= 3 * PER_HOUR, "the flood went on into the journal"
    rules = {one.incident.finding.rule_id for one in said if one.incident is not None}
    assert "vedette:response-budget" in rules


def test_one_response_that_breaks_the_service_all_the_same_is_the_last_of_its_playbook() -> None:
    device = Device(BLOCK)
    device.tell(EssentialProbed(0.6, WALL, "camera", True, "takes connections"))
    done = 0
    for number in range(1, ALERTS):
        at_s = 1.0 + number * HOUR_S / ALERTS
        if number % 10 == 0:
            continue
        device.live(at_s, by_peer(number, at_s))
        for order in device.orders()[done:]:
            if order.mode is Mode.ENFORCE:
                device.outcome(at_s, order, DONE)
                device.tell(EssentialProbed(at_s + 0.1, WALL, "camera", False, "no route"))
                device.live(at_s + 0.2)
                device.tell(EssentialProbed(at_s + 0.3, WALL, "camera", True, "it works again"))
        done = len(device.orders())
    enforced = [order for order in device.orders() if order.mode is Mode.ENFORCE]
    assert len(enforced) == 1
    assert [command.response_id for command in device.asked(Undo)] == [enforced[0].response_id]
