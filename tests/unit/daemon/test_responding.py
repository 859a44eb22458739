# ruff: noqa: ASYNC110, ASYNC240 (the loop of a test may wait for a file in memory)
"""Orders in, outcomes out: what is recorded, in which order, and what survives an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.memory_state import MemoryShelf
from tests.simulators.responders import Freezing, Holding, Renaming, Striking, context

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Promote
from vedette.daemon import responder_calls
from vedette.daemon.responder_calls import Responders
from vedette.daemon.responding import Responding
from vedette.daemon.shell import Shell
from vedette.model.journal import EntryDraft
from vedette.model.process import ProcessKey
from vedette.model.response import (
    FileTarget,
    Mode,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.store.responses import ResponseStore

BOOT, OTHER_BOOT = "1" * 32, "2" * 32


class Slow(MemoryJournal):
    """Lets tests look while an entry is on its way to the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def append(self, drafts: Sequence[EntryDraft]) -> Any:
        await self.may_go_on.wait()
        return await super().append(drafts)


class Bench:
    """A core, a shell and responders that play."""

    def __init__(self, folder: Path, store: ResponseStore, boot: str) -> None:
        self.file = folder / "victim"
        self.journal = Slow()
        self.agent = Agent(AgentSettings("home", "cam", boot))
        self.shell = Shell(self.agent, self.journal, lambda *_: None, lambda _: None)
        self.renaming = Renaming(context(folder))
        self.freezing = Freezing(context(folder))
        self.striking = Striking(context(folder))
        self.holding = Holding(context(folder))
        usable = {
            "rename": self.renaming, "freeze": self.freezing, "strike": self.striking,
            "hold": self.holding,
        }  # fmt: skip
        self.promoted: list[Promote] = []
        self.responding = Responding(
            self.shell,
            self.journal,
            Responders(usable, {"isolate": "no nftables here"}),
            store,
            boot=boot,
            on_promote=self.promoted.append,
        )
        self.shell.on_defence = self.responding.carry_out

    def order(self, responder: str = "rename", target: Target | None = None, **more: Any) -> Order:
        made = Order(
            "a" * 16, responder, target or FileTarget(str(self.file), ""), Mode.ENFORCE,
            "operator:k:1", "", "", 600.0,
        )  # fmt: skip
        return made._replace(**more)

    def phases(self) -> list[str]:
        entries = [entry.draft for entry in self.journal.recorded if entry.draft.kind == "response"]
        return [json.loads(draft.body)["phase"] for draft in entries]

    def told(self) -> list[str]:
        drafts = [entry.draft for entry in self.journal.recorded if entry.draft.kind == "incident"]
        return [json.loads(one.body)["finding_info"]["analytic"]["uid"] for one in drafts]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.journal.open()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.shell.run())]
            tasks.append(group.create_task(self.responding.run()))
            await self.responding.resumed.wait()
            try:
                yield
            finally:
                self.problems = await self.responding.close()
                await self.until(lambda: True)
                for task in tasks:
                    task.cancel()

    async def until(self, look: Callable[[], bool]) -> None:
        async with asyncio.timeout(10.0):
            await asyncio.sleep(0.001)
            while not look():
                await asyncio.sleep(0.001)


@pytest.fixture
def store() -> ResponseStore:
    return ResponseStore(MemoryShelf(), MemoryShelf())


def play(bench: Bench, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with bench.running():
            await story()

    asyncio.run(whole())


@pytest.fixture
def bench(tmp_path: Path, store: ResponseStore) -> Bench:
    made = Bench(tmp_path, store, BOOT)
    made.file.write_text("evil")
    return made


def test_a_response_is_planned_on_the_disk_then_done_then_told(
    bench: Bench, store: ResponseStore
) -> None:
    async def story() -> None:
        bench.journal.may_go_on.clear()
        asked = asyncio.create_task(bench.responding.ask(bench.order()))  # noqa: TID251
        await bench.until(lambda: len(store.load().kept) == 1)
        assert bench.renaming.done == ["plan"]
        assert bench.file.exists()
        bench.journal.may_go_on.set()
        outcome = await asked
        assert outcome.status is ResponseStatus.DONE
        assert not bench.file.exists()
        await bench.until(lambda: len(bench.phases()) == 2)
        assert bench.phases() == ["plan", "outcome"]

    play(bench, story)


def test_a_kill_waits_for_no_disk_and_its_plan_still_comes_first(bench: Bench) -> None:
    async def story() -> None:
        bench.journal.may_go_on.clear()
        target = ProcessTarget(ProcessKey(812, 4), "/tmp/x")
        outcome = await bench.responding.ask(bench.order("strike", target, lasts_s=0.0))
        assert outcome.status is ResponseStatus.DONE
        assert bench.striking.struck == [target.key]
        assert bench.phases() == []
        bench.journal.may_go_on.set()
        await bench.until(lambda: len(bench.phases()) == 2)
        assert bench.phases() == ["plan", "outcome"]

    play(bench, story)


def test_what_the_power_would_end_waits_for_no_disk_and_its_record_is_in_memory(
    bench: Bench, store: ResponseStore
) -> None:
    lasting, passing = store._lasting, store._passing
    assert isinstance(lasting, MemoryShelf)
    assert isinstance(passing, MemoryShelf)

    async def story() -> None:
        bench.journal.may_go_on.clear()
        seen: list[int] = []
        act = bench.holding.act

        def act_and_look(order: Order, record: UndoRecord) -> Outcome:
            seen.append(len(passing.files))
            return act(order, record)

        bench.holding.act = act_and_look  # type: ignore[method-assign]
        outcome = await bench.responding.ask(bench.order("hold"))
        assert outcome.status is ResponseStatus.DONE
        assert not bench.file.exists()
        assert seen == [1]
        assert bench.phases() == []
        assert (len(lasting.files), len(passing.files)) == (1, 0)
        bench.journal.may_go_on.set()
        await bench.until(lambda: len(bench.phases()) == 2)
        assert bench.phases() == ["plan", "outcome"]
        undone = await bench.responding.ask_undo("a" * 16, "control")
        assert undone.status is ResponseStatus.UNDONE
        assert bench.file.read_text() == "evil"

    play(bench, story)


def test_an_end_before_the_disk_had_it_is_undone_by_the_next_run(
    bench: Bench, store: ResponseStore, tmp_path: Path
) -> None:
    order = bench.order("hold")
    record = bench.holding.plan(order)
    bench.responding.kept.note(order, record)
    bench.holding.act(order, record)
    later = Bench(tmp_path, store, BOOT)

    async def story() -> None:
        outcome = await later.responding.ask_undo(order.response_id, "control")
        assert outcome.status is ResponseStatus.UNDONE
        assert later.file.read_text() == "evil"

    play(later, story)


def test_without_room_in_memory_the_disk_has_it_first(bench: Bench, store: ResponseStore) -> None:
    passing = store._passing
    assert isinstance(passing, MemoryShelf)
    passing.is_full = True

    async def story() -> None:
        outcome = await bench.responding.ask(bench.order("hold"))
        assert outcome.status is ResponseStatus.DONE
        assert len(store.load().kept) == 1

    play(bench, story)


def test_without_any_place_for_it_nothing_urgent_is_done_either(
    bench: Bench, store: ResponseStore
) -> None:
    for shelf in (store._passing, store._lasting):
        assert isinstance(shelf, MemoryShelf)
        shelf.is_full = True

    async def story() -> None:
        outcome = await bench.responding.ask(bench.order("hold"))
        assert outcome.status is ResponseStatus.FAILED
        assert bench.file.exists()

    play(bench, story)


def test_an_undo_brings_back_and_forgets(bench: Bench, store: ResponseStore) -> None:
    async def story() -> None:
        order = bench.order()
        await bench.responding.ask(order)
        outcome = await bench.responding.ask_undo(order.response_id, "control")
        assert outcome.status is ResponseStatus.UNDONE
        assert bench.file.read_text() == "evil"
        await bench.until(lambda: not store.load().kept)
        await bench.until(lambda: len(bench.phases()) == 4)
        assert bench.phases() == ["plan", "outcome", "undo", "undone"]
        again = await bench.responding.ask_undo(order.response_id, "control")
        assert again.status is ResponseStatus.REFUSED

    play(bench, story)


def test_observing_changes_nothing_and_says_what_would_be(bench: Bench) -> None:
    async def story() -> None:
        outcome = await bench.responding.ask(bench.order(mode=Mode.OBSERVE))
        assert outcome.status is ResponseStatus.OBSERVED
        assert bench.renaming.done == ["plan"]
        assert bench.file.exists()

    play(bench, story)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a responder that is not there": ({"responder": "melt"}, "there is no such responder"),
    "one that cannot be used here": ({"responder": "isolate"}, "no nftables here"),
    "a target of another kind": ({"target": PeerTarget("192.0.2.1")}, "expected a FileTarget"),
    "one that would last for ever": ({"lasts_s": 0.0}, "how long it lasts"),
    "a file that is gone": ({"target": FileTarget("/nowhere/x", "")}, "there is no such file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_has_failed_and_says_why(what: str, bench: Bench) -> None:
    more, why = REFUSED[what]

    async def story() -> None:
        outcome = await bench.responding.ask(bench.order(**more))
        assert outcome.status is ResponseStatus.FAILED
        assert why in outcome.detail
        assert not bench.agent.defence.active

    play(bench, story)


def test_a_responder_that_breaks_its_port_has_failed_and_nothing_else_has(bench: Bench) -> None:
    async def story() -> None:
        bench.renaming.broken = "a defect"
        outcome = await bench.responding.ask(bench.order())
        assert (outcome.status, outcome.detail) == (
            ResponseStatus.FAILED, "RuntimeError: a defect",
        )  # fmt: skip

    play(bench, story)


def test_one_that_hangs_is_partly_done_and_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder_calls, "GRACE_S", 0.05)

    async def story() -> None:
        bench.striking.hangs.clear()
        target = ProcessTarget(ProcessKey(812, 4), "/tmp/x")
        outcome = await bench.responding.ask(bench.order("strike", target, lasts_s=0.0))
        assert outcome.status is ResponseStatus.PARTLY
        assert "did not come back" in outcome.detail
        other = await bench.responding.ask(bench.order(response_id="b" * 16))
        assert other.status is ResponseStatus.DONE
        bench.striking.hangs.set()

    play(bench, story)


def test_without_a_disk_the_record_is_kept_in_memory_and_that_is_told(
    bench: Bench, store: ResponseStore
) -> None:
    lasting = store._lasting
    assert isinstance(lasting, MemoryShelf)
    lasting.is_full = True

    async def story() -> None:
        outcome = await bench.responding.ask(bench.order())
        assert outcome.status is ResponseStatus.DONE
        assert "vedette:response-records" in bench.told()

    play(bench, story)
    assert [kept.order.responder for kept in store.load().kept] == ["rename"]


def test_without_any_place_for_the_record_nothing_is_done(
    bench: Bench, store: ResponseStore
) -> None:
    for shelf in (store._lasting, store._passing):
        assert isinstance(shelf, MemoryShelf)
        shelf.is_full = True

    async def story() -> None:
        outcome = await bench.responding.ask(bench.order())
        assert outcome.status is ResponseStatus.FAILED
        assert bench.file.exists()

    play(bench, story)


def test_what_somebody_takes_away_is_put_back_and_told(bench: Bench) -> None:
    async def story() -> None:
        await bench.responding.ask(bench.order())
        held = Path(f"{bench.file}.held")
        held.rename(bench.file)
        await bench.responding.look()
        assert held.exists()
        await bench.until(lambda: "vedette:response-removed" in bench.told())

    play(bench, story)


def test_the_end_leaves_the_kernel_alone_and_the_next_start_goes_on(
    tmp_path: Path, bench: Bench, store: ResponseStore
) -> None:
    async def before() -> None:
        await bench.responding.ask(bench.order())

    play(bench, before)
    assert bench.renaming.done == ["plan", "act", "leave"]
    Path(f"{bench.file}.held").rename(bench.file)  # as if `leave` had taken it away
    again = Bench(tmp_path, store, BOOT)

    async def after() -> None:
        await again.until(lambda: not again.file.exists())
        (active,) = again.agent.defence.active.values()
        assert active.state == "held"
        outcome = await again.responding.ask_undo("a" * 16, "control")
        assert outcome.status is ResponseStatus.UNDONE

    play(again, after)
    assert again.renaming.done == ["act", "undo"]
    assert again.file.read_text() == "evil"


def test_after_a_reboot_what_no_reboot_leaves_is_ended_and_the_rest_is_done_again(
    tmp_path: Path, bench: Bench, store: ResponseStore
) -> None:
    async def before() -> None:
        await bench.responding.ask(bench.order())
        frozen = tmp_path / "frozen"
        frozen.write_text("x")
        order = bench.order("freeze", FileTarget(str(frozen), ""), response_id="b" * 16)
        await bench.responding.ask(order)

    play(bench, before)
    Path(f"{bench.file}.held").rename(bench.file)
    again = Bench(tmp_path, store, OTHER_BOOT)

    async def after() -> None:
        await again.until(lambda: not again.file.exists())
        await again.until(lambda: [*again.agent.defence.active] == ["a" * 16])
        assert (tmp_path / "frozen").exists()

    play(again, after)
    assert again.freezing.done == ["undo"]
    assert [kept.order.responder for kept in store.load().kept] == ["rename"]


def test_a_response_whose_time_passed_while_the_agent_was_gone_is_undone_at_the_start(
    tmp_path: Path, bench: Bench, store: ResponseStore
) -> None:
    async def before() -> None:
        await bench.responding.ask(bench.order())

    play(bench, before)
    (kept,) = store.load().kept
    store.save(kept._replace(until_s=0.5))
    again = Bench(tmp_path, store, BOOT)

    async def after() -> None:
        await again.until(again.file.exists)
        await again.until(lambda: not store.load().kept)

    play(again, after)


def test_orders_after_the_end_are_not_begun(bench: Bench) -> None:
    async def story() -> None:
        return

    play(bench, story)
    assert bench.problems == []
    assert bench.renaming.done == []


def test_an_undo_waits_for_what_is_being_put_back(
    tmp_path: Path, bench: Bench, store: ResponseStore
) -> None:
    async def before() -> None:
        await bench.responding.ask(bench.order())

    play(bench, before)
    Path(f"{bench.file}.held").rename(bench.file)
    again = Bench(tmp_path, store, BOOT)
    again.renaming.wait.clear()

    async def after() -> None:
        await again.until(lambda: again.renaming.done == ["act"])
        asked = asyncio.create_task(  # noqa: TID251
            again.responding.ask_undo("a" * 16, "control")
        )
        await again.until(lambda: "undo" in again.phases())
        assert again.renaming.done == ["act"]
        again.renaming.wait.set()
        assert (await asked).status is ResponseStatus.UNDONE

    play(again, after)
    assert again.renaming.done == ["act", "undo"]
    assert again.file.read_text() == "evil"
