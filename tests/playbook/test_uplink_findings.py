"""Findings about the way out take that way themselves: they must never feed on each other.

A whole day is played: the real core, the real outbox, and a broker that answers as the story says.
"""

from __future__ import annotations

from collections.abc import Callable

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command, Wake
from vedette.core.inputs import Reported, Ticked
from vedette.core.outbox import Outbox, Parcel, Verdict
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.message import Outcome, SessionChanged

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
OFFSET_S = 1_790_000_000.0
UNHEARD, DENIED = 0x10, 0x87
UP = SessionChanged(is_up=True, reason="connected", maximum_packet_bytes=60_000, receive_maximum=32)
DOWN = SessionChanged(
    is_up=False, reason="connection lost", maximum_packet_bytes=0, receive_maximum=0
)


class Device:
    """Core and outbox, joined as the sentinel joins them.

    Args:
        answer: the broker's reason code for an entry.
        budget_bytes: a day; 0 means no limit.
    """

    def __init__(self, answer: Callable[[EntryDraft], int], budget_bytes: int = 0) -> None:
        self.agent = Agent(AgentSettings("acme", "cam", "0" * 32))
        self.outbox = Outbox(0, budget_bytes)
        self.answer = answer
        self.entries: list[EntryDraft] = []
        self.sent = 0
        self.now_s = 100.0
        self._wake_s: float | None = None

    def report(self, condition: str, detail: str) -> None:
        self.do(
            self.agent.handle(
                Reported(
                    self.now_s, self.now_s + OFFSET_S, condition, condition, Severity.LOW,
                    {"Reason": detail},
                )
            )
        )  # fmt: skip

    def do(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Append(draft, _) if draft.topic:
                    self.entries.append(draft)
                case Wake(at_s):
                    self._wake_s = at_s

    def session(self, change: SessionChanged) -> None:
        self.outbox.change_session(change)
        self.deliver()

    def deliver(self) -> None:
        """Send, hear the answers and tell the conditions until nothing is left to do."""
        is_moving = True
        while is_moving:
            self.outbox.wake(self.now_s)
            flying = [sequence for sequence in iter(self._hand_over, 0) if sequence > 0]
            for sequence in flying:
                reason = self.answer(self.entries[sequence - 1])
                self.outbox.settle(Outcome(sequence, reason), self.now_s)
            notices = self.outbox.take_notices()
            for notice in notices:
                if notice.detail:
                    self.report(notice.condition, notice.detail)
            is_moving = bool(flying or notices)

    def _hand_over(self) -> int:
        """The sequence that was sent, -1 for one that is held, 0 when no more may go."""
        sequence = self.outbox.cursor + 1
        if sequence > len(self.entries):
            return 0
        draft = self.entries[sequence - 1]
        parcel = Parcel(sequence, draft.topic, draft.severity, len(draft.body) + 500, False)
        verdict = self.outbox.offer(parcel)
        if verdict is Verdict.SEND:
            self.outbox.sent(parcel)
            self.sent += 1
            return sequence
        return 0 if verdict is Verdict.STOP else -1

    def live(self, until_s: float) -> None:
        """Let time pass from one thing that is due to the next."""
        while True:
            due = [s for s in (self._wake_s, self.outbox.next_due_s()) if s is not None]
            self.now_s = max(self.now_s, min([*due, until_s]))
            if self.now_s >= until_s:
                return
            if self._wake_s is not None and self._wake_s <= self.now_s:
                self._wake_s = None
                self.do(self.agent.handle(Ticked(self.now_s, self.now_s + OFFSET_S)))
            self.deliver()


def test_nobody_listening_for_a_day_is_told_once_and_closed_once() -> None:
    device = Device(lambda _: UNHEARD)
    device.report("first", "something to send")
    device.session(UP)
    device.live(DAY_S)
    assert len(device.entries) == 4, "two incidents, each created and closed"
    assert device.sent == 4


def test_a_topic_that_nobody_subscribed_among_others_does_not_ring_for_ever() -> None:
    device = Device(lambda draft: UNHEARD if b"odd" in draft.body else 0)
    device.session(UP)
    for number in range(200):
        device.report(f"odd-{number}", "unheard")
        device.deliver()
        device.live(device.now_s + 60.0)
    about_us = [draft for draft in device.entries if b"vedette:uplink" in draft.body]
    assert len(about_us) <= 2 * (200 * 60 / HOUR_S + 1)


def test_a_denied_topic_for_a_day_adds_one_incident_and_a_probe_in_five_minutes() -> None:
    device = Device(lambda _: DENIED)
    device.report("first", "something to send")
    device.session(UP)
    device.live(DAY_S)
    assert len(device.entries) == 4
    assert device.sent <= DAY_S / 300.0 + 20


def test_a_session_that_breaks_every_minute_is_told_a_dozen_times_an_hour_at_most() -> None:
    device = Device(lambda _: 0)
    while device.now_s < DAY_S:
        device.session(UP)
        device.live(device.now_s + 30.0)
        device.session(DOWN)
        device.live(device.now_s + 30.0)
    assert len(device.entries) <= 12 * DAY_S / HOUR_S


def test_a_budget_that_is_used_up_says_so_without_using_it() -> None:
    device = Device(lambda _: 0, budget_bytes=3000)
    device.session(UP)
    for number in range(50):
        device.report(f"finding-{number}", "detail")
    device.deliver()
    device.live(DAY_S)
    about_us = [draft for draft in device.entries if b"vedette:uplink-budget" in draft.body]
    assert len(about_us) == 2
    assert device.outbox.spent(device.now_s).size_bytes <= 3000
