"""What every sensor promises (ports/sensor.py), run on each file of sensors/."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from vedette import sensors
from vedette.codec.audit_control import Status, parse_rule
from vedette.errors import SensorError
from vedette.model.event import Event, EventClass, EventsLost
from vedette.ports.discover import sensor_classes
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors._audit_link import AuditLink

CLASSES: Final = sensor_classes(sensors)
EACH: Final = pytest.mark.parametrize("sensor_class", CLASSES, ids=lambda cls: cls.__module__)
READY_TIMEOUT_S: Final = 20.0

pytestmark = pytest.mark.kernel


class World:
    """Folders of one sensor, and what it emitted."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.run_dir, self.state_dir, self.tree = (
            folder / name for name in ("run", "state", "tree")
        )
        for made in (self.run_dir, self.state_dir, self.tree):
            made.mkdir(mode=0o700, exist_ok=True)

    def context(self) -> SensorContext:
        return SensorContext(
            emit=self.events.extend,
            run_dir=self.run_dir,
            state_dir=self.state_dir,
            watch=(str(self.tree),),
        )


@pytest.fixture
def world(tmp_path: Path, kernel: None) -> World:
    return World(tmp_path)


def kernel_state() -> dict[str, object]:
    """What sensors may change: audit's settings and rules, and the nftables ruleset."""
    found: dict[str, object] = {"nftables": nft_tables()}
    try:
        with AuditLink() as link:
            status: Status = link.status()
            found["rules"] = sorted(map(repr, map(parse_rule, link.rules())))
            # The counters of the kernel go on; the rest is a setting.
            found["status"] = status._replace(lost=0, backlog=0, backlog_wait_actual=0)
    except OSError as error:
        found["audit"] = error.errno
    return found


def nft_tables() -> object:
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return None
    listed = subprocess.run(
        ["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=False
    ).stdout
    parts = json.loads(listed)["nftables"] if listed else []
    return [part for part in parts if "metainfo" not in part]


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def with_open(
    sensor_class: type[Sensor],
    world: World,
    story: Callable[[Sensor], Coroutine[Any, Any, None]],
) -> None:
    """Run a story on an open sensor; skip with its reason where it says that it cannot watch."""

    async def run() -> None:
        sensor = sensor_class(world.context())
        try:
            await sensor.open()
            await story(sensor)
        finally:
            await sensor.close()

    before = kernel_state()
    try:
        asyncio.run(run())
    except SensorError as error:
        if "expected to see its own" in str(error):
            raise
        pytest.skip(f"{sensor_class.__module__}: {error}")
    finally:
        assert kernel_state() == before


def test_the_folder_offers_sensors() -> None:
    names = {cls.__module__.rpartition(".")[2] for cls in CLASSES}
    assert names >= {"audit", "proc_connector", "procfs"}


@EACH
def test_its_tiers_say_what_a_person_needs(sensor_class: type[Sensor]) -> None:
    assert sensor_class.tiers
    classes = [tier.event_class for tier in sensor_class.tiers]
    assert len(set(classes)) == len(classes)
    for tier in sensor_class.tiers:
        assert tier.name == sensor_class.__module__.rpartition(".")[2]
        assert 0 < tier.rank <= 100
        assert tier.sees
        assert tier.misses
        assert all("\n" not in line for line in (tier.sees, *tier.misses, *tier.lift))


def test_no_two_sensors_of_a_class_have_the_same_rank() -> None:
    for event_class in EventClass:
        ranks = [
            tier.rank
            for cls in CLASSES
            if not getattr(cls, "is_companion", False)
            for tier in cls.tiers
            if tier.event_class is event_class
        ]
        assert len(set(ranks)) == len(ranks), event_class


@EACH
def test_it_proves_itself_again_and_again_and_keeps_its_proof_to_itself(
    sensor_class: type[Sensor], world: World
) -> None:
    tokens = [secrets.token_hex(8) for _ in range(2)]

    async def story(sensor: Sensor) -> None:
        for token in tokens:
            await sensor.prove(token)

    with_open(sensor_class, world, story)
    said = repr(world.events)
    assert not [token for token in tokens if token in said]


@EACH
def test_what_it_emits_is_of_its_tier(sensor_class: type[Sensor], world: World) -> None:
    async def story(sensor: Sensor) -> None:
        noise = asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.DEVNULL)
        await (await noise).wait()
        await sensor.prove(secrets.token_hex(8))

    with_open(sensor_class, world, story)
    names = {tier.name for tier in sensor_class.tiers}
    classes = {tier.event_class for tier in sensor_class.tiers}
    for event in world.events:
        assert event.tier in names
        if isinstance(event, EventsLost):
            assert event.event_class in classes


@EACH
def test_it_closes_twice_and_leaves_no_descriptor_and_no_child(
    sensor_class: type[Sensor], world: World
) -> None:
    async def run() -> Sequence[str]:
        before = descriptors()
        sensor = sensor_class(world.context())
        try:
            await sensor.open()
        except SensorError as error:
            reasons.append(str(error))
        await sensor.close()
        await sensor.close()
        return sorted(descriptors() - before)

    reasons: list[str] = []
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    had = children.read_text() if children.exists() else ""
    before = kernel_state()
    # The default executor's threads and their pipe live as long as the loop.
    assert asyncio.run(run()) == []
    assert kernel_state() == before
    if children.exists():
        assert children.read_text() == had
    assert all(len(reason) > 10 for reason in reasons)


@EACH
def test_it_closes_though_it_was_never_opened(sensor_class: type[Sensor], world: World) -> None:
    async def run() -> None:
        sensor = sensor_class(world.context())
        assert isinstance(dict(sensor.counters()), dict)
        await sensor.close()

    asyncio.run(run())


@EACH
def test_there_is_nothing_to_restore_where_nothing_ran(
    sensor_class: type[Sensor], world: World
) -> None:
    before = kernel_state()
    assert sensor_class.restore(world.run_dir) == []
    assert kernel_state() == before


@EACH
def test_what_a_killed_one_left_is_undone_by_the_next_start(
    sensor_class: type[Sensor], world: World
) -> None:
    before = kernel_state()
    try:
        killed = run_until_killed(sensor_class, world)
        if killed:
            pytest.skip(killed)
        sensor_class.restore(world.run_dir)
        assert kernel_state() == before
        assert sensor_class.restore(world.run_dir) == []
    finally:
        sensor_class.restore(world.run_dir)


OPENS: Final = """
import asyncio, importlib, sys
from pathlib import Path
from vedette.errors import SensorError
from vedette.ports.sensor import SensorContext

async def main():
    name, run_dir, state_dir, tree = sys.argv[1:]
    cls = importlib.import_module(name).sensor_class
    sensor = cls(SensorContext(emit=lambda batch: None, run_dir=Path(run_dir),
                               state_dir=Path(state_dir), watch=(tree,)))
    try:
        await sensor.open()
    except SensorError as error:
        print(error, flush=True)
        return
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def run_until_killed(sensor_class: type[Sensor], world: World) -> str:
    """Open it in a process of its own and end that with SIGKILL; why it could not open, or ""."""
    folders = [str(folder) for folder in (world.run_dir, world.state_dir, world.tree)]
    with subprocess.Popen(
        [sys.executable, "-c", OPENS, sensor_class.__module__, *folders],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
        process.wait(READY_TIMEOUT_S)
    return "" if said == "open" else said or "it ended without a word"
