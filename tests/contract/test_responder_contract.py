"""What every responder promises (ports/responder.py), run on each file of responses/.

A new responder adds one file: tests/contract/scenes/<its name>.py (see scenes/scene.py).
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final, get_args

import pytest
from tests.contract.scenes.scene import Scene

from vedette import responses
from vedette.daemon import privileges
from vedette.errors import ResponseError
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    ModelTarget,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
    UndoRecord,
    UnitTarget,
)
from vedette.ports.discover import responder_classes
from vedette.ports.responder import Responder, ResponderContext

CLASSES: Final = responder_classes(responses)
EACH: Final = pytest.mark.parametrize("name", sorted(CLASSES))
STRANGERS: Final[tuple[Target, ...]] = (
    ProcessTarget(ProcessKey(2**22 - 1, 1), "/no/such/program"),
    FileTarget("/no/such/file", ""),
    PeerTarget("192.0.2.1"),
    UnitTarget("no-such.service"),
    ModelTarget("no-such-model"),
    DeviceTarget(),
)
"""One target of each kind, none of which is there."""
MAX_TIMEOUT_S: Final = 30.0
MAX_DETAIL: Final = 400
KILLED_AT: Final = 24
"""Moments, spread over `act`, at which it is killed."""
_SEVERAL = 2


class World:
    """One scene and responders that act in it, each as after a start of the agent."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self.state_dir, self.run_dir = folder / "state", folder / "run"
        for made in (self.state_dir, self.run_dir):
            made.mkdir(mode=0o700, parents=True)
        self._scenes: list[Scene] = []
        self.scene = self.new_scene()

    def new_scene(self) -> Scene:
        place = self._folder / f"scene-{len(self._scenes)}"
        place.mkdir(mode=0o755)
        self.scene = scene_class(self.name)(place)
        self._scenes.append(self.scene)
        return self.scene

    def responder(self, *, is_guarded: bool = False) -> Responder:
        guarded = ResponderContext(self.state_dir, self.run_dir)
        context = ResponderContext(
            state_dir=self.state_dir,
            run_dir=self.run_dir,
            untouchable_pids=guarded.untouchable_pids
            | (self.scene.untouchable_pids() if is_guarded else frozenset()),
            untouchable_paths=self.scene.untouchable_paths() if is_guarded else (),
            options=self.scene.options,
        )
        return CLASSES[self.name](self.scene.equip(context))

    def order(self, target: Target | None = None) -> Order:
        return Order(
            response_id=secrets.token_hex(8),
            responder=self.name,
            target=self.scene.target() if target is None else target,
            mode=Mode.ENFORCE,
            cause="vedette.test",
            incident_id="1",
            playbook="test",
            lasts_s=600.0,
        )

    def close(self) -> None:
        for scene in self._scenes:
            scene.close()


def scene_class(name: str) -> type[Scene]:
    try:
        module = importlib.import_module(f"tests.contract.scenes.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"tests.contract.scenes.{name}":
            raise
        pytest.fail(f"responses/{name}.py has no scene: write tests/contract/scenes/{name}.py")
    found: type[Scene] = module.scene_class
    return found


@pytest.fixture
def world(name: str, tmp_path: Path) -> Iterator[World]:
    if reason := scene_class(name).refusal():
        pytest.skip(f"{name}: {reason}")
    made = World(name, tmp_path)
    try:
        if reason := made.responder().unavailable():
            pytest.skip(f"{name}: {reason}")
        yield made
    finally:
        made.close()


def stored(record: UndoRecord) -> UndoRecord:
    """The record as it comes back from the disk."""
    read: dict[str, str | int] = json.loads(json.dumps(dict(record)))
    assert read == dict(record)
    assert all(type(value) in {str, int} for value in read.values())
    return read


def told(outcome: Outcome, *statuses: ResponseStatus) -> Outcome:
    """Check that an outcome is one of these and can be shown to people."""
    assert outcome.status in statuses, outcome
    assert 0 < len(outcome.detail) <= MAX_DETAIL
    assert not [sign for sign in outcome.detail if unicodedata.category(sign) == "Cc"]
    assert json.loads(json.dumps(dict(outcome.facts))) == dict(outcome.facts)
    assert all(type(value) in {str, int} for value in outcome.facts.values())
    return outcome


def done(responder: Responder, order: Order) -> UndoRecord:
    record = stored(responder.plan(order))
    told(responder.act(order, record), ResponseStatus.DONE)
    return record


def undone(responder: Responder, order: Order, record: UndoRecord) -> None:
    told(responder.undo(order, record), ResponseStatus.UNDONE)


def skip_without_undo(name: str) -> None:
    if not CLASSES[name].has_undo:
        pytest.skip(f"{name} has no undo")


@EACH
def test_it_says_what_it_is(name: str, tmp_path: Path) -> None:
    responder_class = CLASSES[name]
    assert responder_class.target_type in get_args(Target)
    assert responder_class.__doc__
    assert 0 < responder_class.timeout_s <= MAX_TIMEOUT_S
    assert responder_class.capabilities <= frozenset(privileges.CAPABILITIES)
    reason = responder_class(ResponderContext(tmp_path, tmp_path)).unavailable()
    assert "\n" not in reason
    assert not reason or len(reason) > len("unavailable")


@EACH
def test_planning_changes_nothing(name: str, world: World) -> None:
    before = world.scene.state()
    stored(world.responder().plan(world.order()))
    assert world.scene.state() == before
    assert not world.scene.is_contained()


@EACH
def test_what_is_done_is_seen_from_outside_and_holds(name: str, world: World) -> None:
    responder, order = world.responder(), world.order()
    record = done(responder, order)
    assert world.scene.is_contained()
    assert responder.holds(order, record)
    responder.undo(order, record)  # what the kernel holds outlives the scene


@EACH
def test_it_takes_no_longer_than_it_says(name: str, world: World) -> None:
    responder, order = world.responder(), world.order()
    began_s = time.monotonic()
    record = done(responder, order)
    acted_s = time.monotonic()
    responder.undo(order, record)
    assert acted_s - began_s < responder.timeout_s
    assert time.monotonic() - acted_s < responder.timeout_s


@EACH
def test_undo_brings_back_exactly_what_was(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    responder, order = world.responder(), world.order()
    undone(responder, order, done(responder, order))
    assert world.scene.state() == before
    assert not world.scene.is_contained()


@EACH
def test_undo_may_be_called_twice_and_by_the_next_start(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    order = world.order()
    record = done(world.responder(), order)
    for _ in range(_SEVERAL):
        undone(world.responder(), order, record)
        assert world.scene.state() == before


@EACH
def test_undo_of_what_was_only_planned_changes_nothing(name: str, world: World) -> None:
    before = world.scene.state()
    responder, order = world.responder(), world.order()
    told(responder.undo(order, stored(responder.plan(order))), *UNDO_ENDS)
    assert world.scene.state() == before


UNDO_ENDS: Final = (ResponseStatus.UNDONE, ResponseStatus.REFUSED)
"""A kill that is asked for its undo may also say that it has none."""


@EACH
def test_acting_twice_is_acting_once(name: str, world: World) -> None:
    before = world.scene.state()
    order = world.order()
    record = done(world.responder(), order)
    # As after a start: what an end of the agent took along holds as long as this one lives.
    started = world.responder()
    again = started.act(order, record)
    assert world.scene.is_contained()
    if not CLASSES[name].has_undo:
        told(again, ResponseStatus.DONE, ResponseStatus.FAILED)  # nothing was left to do
    else:
        told(again, ResponseStatus.DONE)
        undone(started, order, record)
        assert world.scene.state() == before


@EACH
def test_two_orders_for_one_target_each_hold_until_undone(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    responder = world.responder()
    orders = [world.order() for _ in range(_SEVERAL)]
    held: list[tuple[Order, UndoRecord]] = []
    for order in orders:
        try:
            record = stored(responder.plan(order))
        except ResponseError:
            continue  # the first has left nothing to do
        if responder.act(order, record).status is ResponseStatus.DONE:
            held.append((order, record))
    assert held
    for number, (order, record) in enumerate(held):
        assert world.scene.is_contained(), f"undoing {number} of {len(held)} released it"
        undone(responder, order, record)
    assert world.scene.state() == before


@EACH
def test_what_an_ending_agent_leaves_is_put_back_at_its_next_start(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    order = world.order()
    ending = world.responder()
    record = done(ending, order)
    ending.leave(order, record)
    world.responder().leave(order, record)  # as `vedette restore` does
    later = world.responder()  # what it holds in the kernel goes with it
    told(later.act(order, record), ResponseStatus.DONE)
    assert world.scene.is_contained()
    undone(later, order, record)
    assert world.scene.state() == before


@EACH
def test_it_leaves_no_descriptor_and_no_thread(name: str, world: World) -> None:
    responder, order = world.responder(), world.order()
    threads, descriptors = threading.active_count(), open_descriptors()
    responder.undo(order, done(responder, order))
    assert open_descriptors() == descriptors
    assert threading.active_count() == threads


@EACH
def test_a_target_of_another_kind_is_refused(name: str, world: World) -> None:
    before = world.scene.state()
    responder = world.responder()
    for stranger in STRANGERS:
        if not isinstance(stranger, responder.target_type):
            with pytest.raises(ResponseError, match="expected"):
                responder.plan(world.order(stranger))
    assert world.scene.state() == before


@EACH
def test_an_untouchable_target_is_refused(name: str, world: World) -> None:
    guards = (world.scene.untouchable_pids(), world.scene.untouchable_paths())
    if not any(guards):
        pytest.skip(f"{name}: its scene names nothing untouchable")
    before = world.scene.state()
    order = world.order()
    unguarded = world.responder().plan(order)
    refused(world.responder(is_guarded=True), order)
    # Also where it became untouchable after the plan.
    told(world.responder(is_guarded=True).act(order, stored(unguarded)), ResponseStatus.REFUSED)
    assert world.scene.state() == before
    assert not world.scene.is_contained()


def refused(responder: Responder, order: Order) -> None:
    """Neither plan nor act agrees."""
    try:
        record = responder.plan(order)
    except ResponseError as error:
        assert len(str(error)) > len("refused")  # noqa: PT017 - plan may also leave it to act
    else:
        told(responder.act(order, record), ResponseStatus.REFUSED)


@EACH
def test_a_target_that_went_away_is_told(name: str, world: World) -> None:
    responder, order = world.responder(), world.order()
    record = stored(responder.plan(order))
    if not world.scene.vanish():
        pytest.skip(f"{name}: its target cannot go away")
    gone = (ResponseStatus.FAILED, ResponseStatus.REFUSED)
    told(responder.act(order, record), *gone)
    told(responder.undo(order, record), *UNDO_ENDS)
    try:
        late = responder.plan(order)
    except ResponseError:
        return
    told(responder.act(order, late), *gone)


@EACH
def test_what_came_in_its_place_is_left_alone(name: str, world: World) -> None:
    responder, order = world.responder(), world.order()
    record = stored(responder.plan(order))
    if not world.scene.replace():
        pytest.skip(f"{name}: nothing can take the place of its target")
    told(responder.act(order, record), ResponseStatus.REFUSED, ResponseStatus.FAILED)
    assert world.scene.is_replacement_untouched()
    told(responder.undo(order, record), *UNDO_ENDS)
    assert world.scene.is_replacement_untouched()
    refused_or_failed(responder, order)
    assert world.scene.is_replacement_untouched()


def refused_or_failed(responder: Responder, order: Order) -> None:
    try:
        record = responder.plan(order)
    except ResponseError:
        return
    told(responder.act(order, record), ResponseStatus.REFUSED, ResponseStatus.FAILED)


@EACH
def test_what_somebody_takes_away_no_longer_holds(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    responder, order = world.responder(), world.order()
    record = done(responder, order)
    if not world.scene.take_away():
        pytest.skip(f"{name}: nobody else can take it away")
    assert not responder.holds(order, record)
    told(responder.act(order, record), ResponseStatus.DONE)
    assert responder.holds(order, record)
    assert world.scene.is_contained()
    undone(responder, order, record)
    assert world.scene.state() == before


@EACH
def test_after_a_reboot_it_is_applied_again_or_over(name: str, world: World) -> None:
    skip_without_undo(name)
    before = world.scene.state()
    order = world.order()
    record = done(world.responder(), order)
    if not world.scene.reboot():
        pytest.skip(f"{name}: its scene cannot play a reboot")
    shutil.rmtree(world.run_dir)
    world.run_dir.mkdir(mode=0o700)
    if CLASSES[name].outlives_reboot:
        started = world.responder()
        told(started.act(order, record), ResponseStatus.DONE)
        assert world.scene.is_contained()
        undone(started, order, record)
        assert world.scene.state() == before
    else:
        undone(world.responder(), order, record)
        assert not world.scene.is_contained()


@EACH
def test_killed_anywhere_in_the_middle_it_can_be_undone_or_ended(name: str, world: World) -> None:
    """kill -9 between any two steps of `act`; the next start undoes it, or does it whole."""
    total = steps_of_act(world)
    died = 0
    for moment in sorted({1 + total * number // KILLED_AT for number in range(KILLED_AT)}):
        scene = world.new_scene()
        before = scene.state()
        order = world.order()
        record = stored(world.responder().plan(order))
        died += killed_at(moment, partial(world.responder().act, order, record))
        if CLASSES[name].has_undo:
            undone(world.responder(), order, record)
            assert scene.state() == before, f"killed at step {moment} of {total}"
        else:
            # What was left of the target, if anything was.
            world.responder().act(order, record)
            assert scene.is_contained(), f"killed at step {moment} of {total}"
    assert died >= KILLED_AT // 2, f"only {died} were killed: the steps were miscounted"


def steps_of_act(world: World) -> int:
    """How many calls `act` makes, of functions of ours and of C."""
    count = 0

    def tick(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    responder, order = world.responder(), world.order()
    record = responder.plan(order)
    sys.setprofile(tick)
    try:
        responder.act(order, record)
    finally:
        sys.setprofile(None)
    responder.undo(order, record)
    return count


def killed_at(moment: int, act: Callable[[], object]) -> bool:
    """Act in a process of its own that is killed before its step `moment`; False: it was faster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests may be left
        pid = os.fork()
    if pid == 0:
        _die_at(moment, act)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "act raised in the child"
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _die_at(moment: int, act: Callable[[], object]) -> None:
    left = moment

    def tick(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.setprofile(tick)
        act()
        sys.setprofile(None)
        os._exit(0)
    finally:
        os._exit(1)


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_every_scene_belongs_to_a_responder() -> None:
    files = (Path(__file__).parent / "scenes").glob("[!_]*.py")
    names = {path.stem for path in files}
    assert names - {"scene"} <= set(CLASSES)
