"""Delivery between a journal that takes its time and an uplink that is played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulators.outbox_journal import BOOT, OutboxJournal, draft
from tests.simulators.station import SIGNER

from vedette.core.data_budget import DAY_S
from vedette.daemon.delivery import DEAF, Delivery
from vedette.model.finding import Severity
from vedette.model.journal import Entry, Spent
from vedette.model.message import Identity, Message, Outcome, SessionChanged
from vedette.ports.uplink import Uplink, UplinkListener

DENIED = 0x87


class PlayedUplink(Uplink):
    """Takes `window` messages at a time; the test answers."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.taken: list[Message] = []
        self.flying = 0
        self.listener: UplinkListener | None = None

    async def open(self, listener: UplinkListener, *, birth: Message, will: Message) -> None:  # noqa: ARG002
        self.listener = listener

    def send(self, message: Message) -> bool:
        if self.flying >= self.window:
            return False
        self.flying += 1
        self.taken.append(message)
        return True

    async def close(self) -> None:
        pass

    def connect(self) -> None:
        assert self.listener is not None
        self.flying = 0
        self.listener.on_session(SessionChanged(True, "connected", 60_000, self.window))

    def answer(self, sequence: int, reason: int = 0) -> None:
        assert self.listener is not None
        self.flying -= 1
        self.listener.on_outcome(Outcome(sequence, reason))

    @property
    def sequences(self) -> list[int]:
        return [message.sequence for message in self.taken]


class SlowJournal(OutboxJournal):
    """Each page is fetched while the loop goes on; `meanwhile` is what happens then."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    async def outbox(self, after: int, limit: int) -> list[Entry]:
        found = await super().outbox(after, limit)
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        return found


class Bench:
    """A delivery that runs, with what the test needs of it."""

    def __init__(self, *, window: int = 32, budget_bytes: int = 0) -> None:
        self.journal = SlowJournal()
        self.uplink = PlayedUplink(window)
        self.now_s = 1000.0
        self.reports: list[tuple[str, str]] = []
        self.down: list[tuple[bytes, int]] = []
        self.delivery = Delivery(
            self.journal, self.uplink, SIGNER, Identity("acme", "cam", BOOT), encoding="json",
            budget_bytes_per_day=budget_bytes, report=lambda *told: self.reports.append(told),
            clock=lambda: self.now_s, wall_clock=lambda: 0.0, on_events=lambda _: None,
            on_down=lambda *came: self.down.append(came),
        )  # fmt: skip

    def play(self, story: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            await self.delivery.open(birth=b"{}", will=b"{}")
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.delivery.run())
                await story()
                assert not running.done(), "delivery has ended by itself"
                running.cancel()

        asyncio.run(whole())


async def rest() -> None:
    """Let everything that can run now run."""
    for _ in range(200):
        await asyncio.sleep(0)


def test_a_session_that_is_replaced_while_the_disk_is_asked_costs_nothing() -> None:
    bench = Bench()

    async def story() -> None:
        await bench.journal.append([draft(b"{}") for _ in range(3)])
        bench.uplink.connect()
        await rest()
        assert bench.uplink.sequences == [1, 2, 3]
        bench.journal.meanwhile = bench.uplink.connect  # the cursor falls back to the mark
        await bench.journal.append([draft(b"{}")])
        bench.delivery.poke()
        await rest()
        assert bench.uplink.sequences == [1, 2, 3, 1, 2, 3, 4]
        for sequence in (1, 2, 3, 4):
            bench.uplink.answer(sequence)
        await rest()
        assert bench.journal.delivered == 4

    bench.play(story)


def test_what_was_held_goes_before_what_was_fetched_when_its_time_comes() -> None:
    bench = Bench(window=1)

    async def story() -> None:
        await bench.journal.append([draft(b"{}", topic="up/posture")])
        await bench.journal.append([draft(b"{}") for _ in range(4)])
        bench.uplink.connect()
        await rest()
        bench.uplink.answer(1, DENIED)
        await rest()
        assert bench.uplink.sequences == [1, 2]
        bench.now_s += 10.0  # the denied topic may be tried again; entries 3 to 5 are fetched
        bench.uplink.answer(2)
        await rest()
        assert bench.uplink.sequences == [1, 2, 1]
        for sequence in (1, 3, 4, 5):
            bench.uplink.answer(sequence)
            await rest()
        assert bench.uplink.sequences == [1, 2, 1, 3, 4, 5]
        assert bench.journal.delivered == 5

    bench.play(story)


def test_what_waited_for_a_new_day_goes_although_others_are_on_their_way() -> None:
    bench = Bench(window=2, budget_bytes=3200)

    async def story() -> None:
        await bench.journal.append([draft(b"{}", severity=Severity.LOW) for _ in range(4)])
        await bench.journal.append([draft(b"{}", severity=Severity.CRITICAL) for _ in range(6)])
        bench.uplink.connect()
        await rest()
        low = len([s for s in bench.uplink.sequences if s <= 4])
        assert low < 4, "the budget holds some"
        while bench.uplink.flying:
            bench.now_s += DAY_S / 3
            bench.uplink.answer(bench.uplink.sequences[-bench.uplink.flying])
            await rest()
        assert sorted(set(bench.uplink.sequences)) == list(range(1, 11))
        assert bench.journal.delivered == 10

    bench.play(story)


def test_what_was_spent_is_noted_with_the_mark_and_with_each_state() -> None:
    bench = Bench()

    async def story() -> None:
        bench.uplink.connect()
        bench.delivery.publish_state(b'{"counter":1}')
        await rest()
        of_state = bench.journal.spent
        assert of_state.size_bytes > 0
        await bench.journal.append([draft(b"{}")])
        bench.delivery.poke()
        await rest()
        bench.now_s += 60.0
        bench.uplink.answer(1)
        await rest()
        assert bench.journal.spent.size_bytes > of_state.size_bytes
        assert bench.journal.spent.day_s == 60

    bench.play(story)


def test_a_new_delivery_goes_on_in_the_same_day() -> None:
    journal = OutboxJournal()
    journal.spent = Spent(4711, 3600)
    uplink = PlayedUplink(1)
    delivery = Delivery(
        journal, uplink, SIGNER, Identity("acme", "cam", BOOT), encoding="json",
        budget_bytes_per_day=10_000, report=lambda _condition, _detail: None,
        clock=lambda: 5.0, wall_clock=lambda: 0.0, on_events=lambda _: None,
    )  # fmt: skip
    assert delivery.spent == Spent(4711, 3600)


def test_what_comes_down_is_passed_on_and_deafness_is_told_once_when_it_begins_and_ends() -> None:
    bench = Bench()

    async def story() -> None:
        bench.uplink.connect()
        listener = bench.uplink.listener
        assert listener is not None
        listener.on_down(b"\x00command", 2)
        for refusal in ("", "not authorized", "not authorized", ""):
            listener.on_hearing(refusal)

    bench.play(story)
    assert bench.down == [(b"\x00command", 2)]
    told = [detail for condition, detail in bench.reports if condition == DEAF]
    assert told == ["not authorized", ""]
