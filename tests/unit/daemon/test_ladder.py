"""The ladder: the best that proves itself, its replacement when it goes blind, honest reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from tests.simulators.sources import Simulated, source, tier

from vedette.daemon.ladder import RETRY_S, Ladder, name_of, probe
from vedette.errors import SensorError
from vedette.model.event import Event, EventClass, EventsLost, KernelActivity, ProcessExited
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext

T = TypeVar("T")


def ladder(*kinds: type[Sensor]) -> Ladder:
    def context(_: str) -> SensorContext:
        return SensorContext(lambda batch: None, Path("/nonexistent"), Path("/nonexistent"))

    return Ladder(kinds, context)


def run(awaitable: Awaitable[T]) -> T:
    async def wait() -> T:
        return await awaitable

    return asyncio.run(wait())


def test_a_sensor_that_was_just_opened_has_more_time_than_one_that_has_seen() -> None:
    blind = source("blind", tier(PROCESS, "blind", 80), is_blind=True)
    context = SensorContext(lambda batch: None, Path("/nonexistent"), Path("/nonexistent"))

    async def story() -> None:
        one = blind(context)
        with pytest.raises(SensorError, match=r"within 0\.02 s"):
            await one.prove("first")
        blind.is_blind = False
        await one.prove("second")
        blind.is_blind = True
        with pytest.raises(SensorError, match=r"within 0\.01 s"):
            await one.prove("third")

    asyncio.run(story())


PROCESS, KERNEL, FILE = EventClass.PROCESS, EventClass.KERNEL, EventClass.FILE


def test_the_best_that_works_is_taken_and_the_others_say_why_not() -> None:
    best = source("best", tier(PROCESS, "best", 90), cannot_open="no kernel support")
    blind = source("blind", tier(PROCESS, "blind", 80), is_blind=True)
    good = source("good", tier(PROCESS, "good", 70))
    spare = source("spare", tier(PROCESS, "spare", 60))
    climbing = ladder(spare, good, blind, best)
    (change,) = run(climbing.climb())
    assert (change.tier, change.previous, change.event_class) == ("good", "", PROCESS)
    report = climbing.reports()[0]
    assert report.tier is not None
    assert report.tier.name == "good"
    assert [name for name, _ in report.failures] == ["best", "blind"]
    assert report.failures[0][1] == "no kernel support"
    assert "saw none" in report.failures[1][1]
    assert spare.life == []
    assert blind.life == ["open blind", "close blind"]


def test_a_source_of_two_classes_is_opened_once() -> None:
    audit = source("audit", tier(PROCESS, "audit", 80), tier(KERNEL, "audit", 80))
    climbing = ladder(audit)
    changes = run(climbing.climb())
    assert [change.event_class for change in changes] == [PROCESS, KERNEL]
    assert audit.life == ["open audit"]


def test_a_source_that_goes_blind_is_replaced_and_told() -> None:
    better = source("better", tier(PROCESS, "better", 80))
    worse = source("worse", tier(PROCESS, "worse", 20))

    async def story() -> None:
        climbing = ladder(better, worse)
        await climbing.climb()
        assert await climbing.check() == []
        better.is_blind = True
        (change,) = await climbing.check()
        assert (change.tier, change.previous) == ("worse", "better")
        assert "saw none" in change.reason
        worse.is_blind = True
        (change,) = await climbing.check()
        assert (change.tier, change.previous) == ("", "worse")
        assert climbing.reports()[0].tier is None
        await climbing.close()

    run(story())
    assert better.life[:2] == ["open better", "close better"]
    assert worse.life[-1] == "close worse"


def test_a_companion_runs_beside_and_is_no_rung() -> None:
    scan = source("scan", tier(FILE, "scan", 99), is_companion=True)
    inotify = source("inotify", tier(FILE, "inotify", 50))
    climbing = ladder(scan, inotify)
    (change,) = run(climbing.climb())
    assert change.tier == "inotify"
    assert climbing.reports()[1].failures == ()
    assert [name for name, _ in climbing.sensors()] == ["inotify", "scan"]


def test_a_companion_is_the_last_rung_when_nothing_else_works() -> None:
    scan = source("scan", tier(FILE, "scan", 99), is_companion=True)
    inotify = source("inotify", tier(FILE, "inotify", 50), cannot_open="no inotify")
    climbing = ladder(scan, inotify)
    (change,) = run(climbing.climb())
    assert change.tier == "scan"
    report = climbing.reports()[1]
    assert report.failures == (("inotify", "no inotify"),)
    assert scan.life == ["open scan"]


def test_what_a_source_cannot_see_here_is_told_beside_what_it_never_sees() -> None:
    seeing = source("seeing", tier(FILE, "seeing", 50), blind_spots=lambda self, _: ("/secret",))
    climbing = ladder(seeing)
    run(climbing.climb())
    report = climbing.reports()[1]
    assert report.tier is not None
    assert report.tier.misses == ("/secret",)


def test_a_source_hands_on_only_what_it_was_chosen_for() -> None:
    emitted: list[Event] = []
    partial = source(
        "partial",
        tier(PROCESS, "partial", 90),
        tier(KERNEL, "partial", 90),
        unserved=lambda self: {KERNEL: "no such hook"},
    )
    whole = source("whole", tier(PROCESS, "whole", 50), tier(KERNEL, "whole", 50))

    def context(_: str) -> SensorContext:
        return SensorContext(emitted.extend, Path("/nonexistent"), Path("/nonexistent"))

    async def story() -> None:
        kept = Ladder((whole, partial), context)
        await kept.climb()
        assert [name for name, _ in kept.sensors()] == ["partial", "whole"]
        for name, one in kept.sensors():
            one.emit([ProcessExited(1.0, name, 1), activity(name)])
            one.emit([loss(name, PROCESS), loss(name, KERNEL)])
        assert emitted == [
            ProcessExited(1.0, "partial", 1),
            loss("partial", PROCESS),
            activity("whole"),
            loss("whole", KERNEL),
        ]
        process, kernel = (
            report for report in kept.reports() if report.event_class in {PROCESS, KERNEL}
        )
        assert process.tier is not None
        assert process.tier.name == "partial"
        assert kernel.tier is not None
        assert kernel.tier.name == "whole"
        assert kernel.failures == (("partial", "no such hook"),)
        partial.is_blind = True
        await kept.check()
        (_, left) = kept.sensors()[0]
        emitted.clear()
        left.emit([ProcessExited(1.0, "whole", 1), activity("whole")])
        assert len(emitted) == 2
        await kept.close()

    run(story())


def activity(name: str) -> KernelActivity:
    return KernelActivity(1.0, name, "mount", 1, 0, "", "/mnt")


def loss(name: str, event_class: EventClass) -> EventsLost:
    return EventsLost(1.0, name, event_class, "kernel", 1, True, "full")


def test_a_probe_leaves_nothing_open() -> None:
    only = source("only", tier(PROCESS, "only", 80))
    reports = run(probe(ladder(only)))
    assert reports[0].tier is not None
    assert only.life == ["open only", "close only"]


def test_a_sensor_is_named_by_its_file() -> None:
    assert name_of(source("audit")) == "audit"


def test_only_sensor_errors_leave_a_sensor() -> None:
    class Broken(Simulated):
        async def _open(self) -> None:
            raise PermissionError(1, "Operation not permitted")

    context = SensorContext(lambda batch: None, Path("/nonexistent"), Path("/nonexistent"))
    with pytest.raises(SensorError, match="not permitted"):
        run(Broken(context).open())


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def timed_ladder(clock: Clock, *kinds: type[Sensor]) -> Ladder:
    def context(_: str) -> SensorContext:
        return SensorContext(lambda batch: None, Path("/nonexistent"), Path("/nonexistent"))

    return Ladder(kinds, context, clock=clock)


def test_a_class_climbs_back_within_an_hour_and_the_worse_source_is_closed() -> None:
    better = source("better", tier(PROCESS, "better", 80), cannot_open="busy")
    worse = source("worse", tier(PROCESS, "worse", 20))
    clock = Clock()

    async def story() -> None:
        climbing = timed_ladder(clock, better, worse)
        await climbing.climb()
        better.cannot_open = ""
        clock.now_s += RETRY_S - 1
        assert await climbing.check() == []
        assert better.life.count("open better") == 1
        clock.now_s += 1
        (change,) = await climbing.check()
        assert (change.tier, change.previous, change.is_better) == ("better", "worse", True)
        assert worse.life == ["open worse", "close worse"]
        assert [name for name, _ in climbing.sensors()] == ["better"]
        assert climbing.reports()[0].failures == ()

    run(story())


def test_who_asks_need_not_wait_for_the_hour() -> None:
    better = source("better", tier(PROCESS, "better", 80), cannot_open="busy")
    worse = source("worse", tier(PROCESS, "worse", 20))

    async def story() -> None:
        climbing = timed_ladder(Clock(), better, worse)
        await climbing.climb()
        better.cannot_open = ""
        (change,) = await climbing.check(is_asked=True)
        assert change.tier == "better"

    run(story())


def test_a_class_that_nothing_watches_is_tried_at_every_check() -> None:
    only = source("only", tier(PROCESS, "only", 80), cannot_open="no")

    async def story() -> None:
        climbing = timed_ladder(Clock(), only)
        assert await climbing.climb() == []
        assert await climbing.check() == []
        only.cannot_open = ""
        (change,) = await climbing.check()
        assert (change.tier, change.previous) == ("only", "")

    run(story())


def test_a_source_of_two_classes_is_tried_once_in_a_round() -> None:
    audit = source("audit", tier(PROCESS, "audit", 80), tier(KERNEL, "audit", 80))
    worse = source("worse", tier(PROCESS, "worse", 20))

    async def story() -> None:
        climbing = timed_ladder(Clock(), audit, worse)
        await climbing.climb()
        audit.life.clear()
        audit.cannot_open = "taken"
        audit.is_blind = True
        changes = await climbing.check()
        assert [(c.event_class, c.tier) for c in changes] == [(PROCESS, "worse"), (KERNEL, "")]
        assert audit.life.count("open audit") == 1
        assert all("saw none" in c.reason and "taken" in c.reason for c in changes)

    run(story())


def test_a_source_that_was_blind_and_sees_again_is_told_as_itself() -> None:
    class Shaken(Simulated):
        tiers = (tier(PROCESS, "shaken", 80),)

        async def _provoke(self, token: str) -> None:
            if self.life.count("open Shaken") > 1 or "proven" not in self.life:
                self.life.append("proven")
                await super()._provoke(token)

    Shaken.__module__ = "sensors.shaken"

    async def story() -> None:
        climbing = timed_ladder(Clock(), Shaken)
        await climbing.climb()
        (change,) = await climbing.check()
        assert (change.tier, change.previous) == ("shaken", "shaken")
        assert "saw none" in change.reason
        assert not change.is_better

    run(story())


def test_a_companion_that_stops_is_told_and_stands_in_the_report() -> None:
    scan = source("scan", tier(FILE, "scan", 20), is_companion=True)
    inotify = source("inotify", tier(FILE, "inotify", 50))

    async def story() -> None:
        climbing = timed_ladder(Clock(), scan, inotify)
        await climbing.climb()
        scan.is_blind = True
        (change,) = await climbing.check()
        assert (change.tier, change.previous) == ("inotify", "scan")
        ((name, reason),) = climbing.reports()[1].failures
        assert name == "scan"
        assert "saw none" in reason
        scan.is_blind = False
        (change,) = await climbing.check(is_asked=True)
        assert (change.tier, change.previous) == ("scan", "")
        assert climbing.reports()[1].failures == ()

    run(story())


async def cling(self: Simulated) -> None:
    raise SensorError("the kernel refuses")


def test_a_source_that_cannot_undo_says_so_and_the_others_close() -> None:
    other = source("other", tier(FILE, "other", 80))
    clinging = source("clinging", tier(PROCESS, "clinging", 80), _close=cling)

    async def story() -> None:
        climbing = timed_ladder(Clock(), other, clinging)
        await climbing.climb()
        assert await climbing.close() == ["the kernel refuses"]

    run(story())
    assert other.life == ["open other", "close other"]


def test_one_that_cannot_undo_is_replaced_all_the_same() -> None:
    worse = source("worse", tier(PROCESS, "worse", 20))
    clinging = source("clinging", tier(PROCESS, "clinging", 80), _close=cling)

    async def story() -> None:
        climbing = timed_ladder(Clock(), worse, clinging)
        await climbing.climb()
        clinging.is_blind = True
        (change,) = await climbing.check()
        assert change.tier == "worse"
        ((_, reason),) = climbing.reports()[0].failures
        assert reason.endswith("the kernel refuses")

    run(story())


def test_after_the_end_nothing_is_opened_any_more() -> None:
    only = source("only", tier(PROCESS, "only", 80))

    async def story() -> None:
        climbing = timed_ladder(Clock(), only)
        await climbing.close()
        assert await climbing.climb() == []
        assert await climbing.check(is_asked=True) == []

    run(story())
    assert only.life == []


def test_one_lost_proof_is_not_blindness() -> None:
    class Dropping(Simulated):
        tiers = (tier(PROCESS, "dropping", 80),)

        async def _provoke(self, token: str) -> None:
            self.life.append("proof")
            if self.life.count("proof") != 2:
                await super()._provoke(token)

    Dropping.__module__ = "sensors.dropping"

    async def story() -> None:
        climbing = timed_ladder(Clock(), Dropping)
        await climbing.climb()
        assert await climbing.check() == []
        assert Dropping.life.count("proof") == 3

    run(story())


def test_a_device_that_is_slow_to_make_the_proof_has_no_blind_source() -> None:
    class Slow(Simulated):
        tiers = (tier(PROCESS, "slow", 80),)
        life: ClassVar[list[str]] = []
        proof_timeout_s = 0.0
        first_proof_timeout_s = 30.0

        async def _provoke(self, token: str) -> None:
            for _ in range(10):  # a program that takes its time to start
                await asyncio.sleep(0)
            await super()._provoke(token)

    Slow.__module__ = "sensors.slow"

    async def story() -> None:
        climbing = timed_ladder(Clock(), Slow)
        await climbing.climb()
        assert await climbing.check() == []

    run(story())
    assert Slow.life == ["open Slow"]


class Robbed(Simulated):
    """Notices what is taken from it, and that it is guarded."""

    taken: ClassVar[str] = ""
    guarded: ClassVar[list[frozenset[int]]] = []

    async def taken_away(self) -> str:
        if self.taken == "no answer":
            raise OSError(self.taken)
        return self.taken

    async def guard(self, pids: frozenset[int]) -> None:
        self.guarded.append(pids)


def robbed(name: str, *tiers: Tier) -> type[Robbed]:
    attributes = {"tiers": tiers, "life": [], "guarded": [], "taken": ""}
    made = type(name, (Robbed,), attributes)
    made.__module__ = f"sensors.{name}"
    return made


def test_what_is_taken_from_a_source_is_put_back_and_told() -> None:
    audit = robbed("audit", tier(PROCESS, "audit", 80))
    other = source("other", tier(FILE, "other", 80))

    async def story() -> None:
        climbing = ladder(audit, other)
        await climbing.climb()
        assert await climbing.mend() == ({}, [])
        audit.taken = "3 of our audit rules were deleted"

        async def prove(self: Robbed, token: str) -> None:
            audit.taken = ""  # opening it anew puts back what was taken
            self.emit([ProcessExited(0.0, token, 1)])

        audit._provoke = prove  # type: ignore[assignment]
        taken, changes = await climbing.mend()
        assert taken == {"audit": "3 of our audit rules were deleted"}
        assert [(c.tier, c.previous, c.reason) for c in changes] == [
            ("audit", "audit", "3 of our audit rules were deleted")
        ]
        assert audit.life == ["open audit", "close audit", "open audit"]
        assert other.life == ["open other"]

    run(story())


def test_a_kernel_that_does_not_answer_leaves_it_to_the_proof() -> None:
    audit = robbed("audit", tier(PROCESS, "audit", 80))

    async def story() -> None:
        climbing = ladder(audit)
        await climbing.climb()
        audit.taken = "no answer"
        assert await climbing.mend() == ({}, [])

    run(story())


def test_sources_guard_the_agent_also_those_that_are_opened_later() -> None:
    audit = robbed("audit", tier(PROCESS, "audit", 80))

    async def story() -> None:
        climbing = ladder(audit)
        await climbing.guard(frozenset({7}))
        await climbing.climb()
        await climbing.guard(frozenset({7, 8}))
        assert audit.guarded == [frozenset({7}), frozenset({7, 8})]

    run(story())


class Lingering(Simulated):
    """Says when it is being closed, and is only when it may be."""

    may_end: ClassVar[asyncio.Event]
    is_closing: ClassVar[asyncio.Event]

    async def _close(self) -> None:
        self.is_closing.set()
        await self.may_end.wait()


def lingering(name: str) -> type[Lingering]:
    tiers = (tier(PROCESS, name, 80),)
    made = type(name, (Lingering,), {
        "tiers": tiers, "life": [], "may_end": asyncio.Event(), "is_closing": asyncio.Event(),
    })  # fmt: skip
    made.__module__ = f"sensors.{name}"
    return made


def while_closing(look: Callable[[Ladder, asyncio.Event], Awaitable[None]]) -> None:
    """Looks at a ladder whose only source is being closed, until it lets the source end."""

    async def story() -> None:
        slow = lingering("slow")
        climbing = ladder(slow)
        await climbing.climb()
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(climbing.close())
            await slow.is_closing.wait()
            await look(climbing, slow.may_end)
            assert await closing == []
        assert slow.life == ["open slow"], "nothing is opened again"

    asyncio.run(story())


def test_who_asks_while_a_source_is_closed_hears_that_nothing_watches() -> None:
    async def look(climbing: Ladder, may_end: asyncio.Event) -> None:
        report = climbing.reports()[0]
        assert (report.event_class, report.tier) == (PROCESS, None)
        assert report.failures == (("slow", "closed"),)
        may_end.set()

    while_closing(look)


def test_a_check_that_waited_while_all_were_closed_tells_of_no_loss() -> None:
    async def look(climbing: Ladder, may_end: asyncio.Event) -> None:
        asyncio.get_running_loop().call_soon(may_end.set)
        assert await climbing.check(is_asked=True) == []
        assert await climbing.mend() == ({}, [])

    while_closing(look)
