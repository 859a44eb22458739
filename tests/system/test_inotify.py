"""The inotify sensor on real folders, as root and as nobody."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.system._watching import Seen, act, changed_paths, context, find

from vedette.errors import SensorError
from vedette.model.event import EventsLost
from vedette.sensors import _watch_tree
from vedette.sensors.inotify import InotifySensor

Story = Callable[[Seen, InotifySensor], Awaitable[None]]


@asynccontextmanager
async def watching(tmp_path: Path, *watch: Path) -> AsyncIterator[tuple[Seen, InotifySensor]]:
    seen = Seen()
    sensor = InotifySensor(context(seen, tmp_path, *watch))
    await sensor.open()
    try:
        await sensor.prove("abcdefgh")
        yield seen, sensor
    finally:
        await sensor.close()
        await sensor.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    return made


def play(tmp_path: Path, story: Story, *watch: Path) -> None:
    async def run() -> None:
        async with watching(tmp_path, *watch) as (seen, sensor):
            await story(seen, sensor)

    asyncio.run(run())


def test_each_kind_of_change_is_told_with_mode_and_owner(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, _: InotifySensor) -> None:
        act("open(a[0] + b'/f', 'w').close()", tree)
        made = await seen.until_path("modified", tree / "f")
        assert (made.pid, made.uid, made.tier) == (0, os.geteuid(), "inotify")
        act("os.chmod(a[0] + b'/f', 0o4755)", tree)
        changed = await seen.until_path("attributes", tree / "f")
        assert changed.mode & stat.S_ISUID
        act("os.rename(a[0] + b'/f', a[0] + b'/g')", tree)
        assert (await seen.until_path("renamed", tree / "g")).old_path == str(tree / "f")
        act("os.unlink(a[0] + b'/g')", tree)
        await seen.until_path("deleted", tree / "g")

    play(tmp_path, story, tree)


def test_what_is_made_in_a_folder_before_it_is_watched_is_told_once(
    tmp_path: Path, tree: Path
) -> None:
    script = (
        "for n in range(200):\n"
        "    d = a[0] + b'/d%d/x' % n; os.makedirs(d); open(d + b'/f', 'w').close()"
    )

    async def story(seen: Seen, sensor: InotifySensor) -> None:
        act(script, tree)
        act("open(a[0] + b'/end', 'w').close()", tree)
        await seen.until_path("created", tree / "end")
        created = [path for action, path in changed_paths(seen.events) if action == "created"]
        wanted = {f"{tree}/d{n}/x/f" for n in range(200)}
        assert wanted <= set(created)
        assert len(created) == len(set(created))
        assert sensor.counters()["folders"] >= 401

    play(tmp_path, story, tree)


def test_a_renamed_folder_keeps_its_watches_under_its_new_name(tmp_path: Path, tree: Path) -> None:
    (tree / "a" / "b").mkdir(parents=True)

    async def story(seen: Seen, _: InotifySensor) -> None:
        act("os.rename(a[0] + b'/a', a[0] + b'/z')", tree)
        await seen.until_path("renamed", tree / "z")
        act("open(a[0] + b'/z/b/f', 'w').close()", tree)
        await seen.until_path("created", tree / "z" / "b" / "f")

    play(tmp_path, story, tree)


def test_a_folder_that_leaves_is_dropped_and_one_that_comes_is_watched(
    tmp_path: Path, tree: Path
) -> None:
    (tree / "a").mkdir()
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)

    async def story(seen: Seen, _: InotifySensor) -> None:
        act("os.rename(a[0] + b'/deep', a[1] + b'/in')", outside, tree)
        await seen.until_path("renamed", tree / "in")
        act("open(a[0] + b'/in/f', 'w').close()", tree)
        await seen.until_path("created", tree / "in" / "f")
        act("os.rename(a[0] + b'/a', a[1] + b'/gone')", tree, outside)
        await seen.until_path("deleted", tree / "a")
        act("open(a[0] + b'/gone/unseen', 'w').close()", outside)
        act("open(a[0] + b'/end', 'w').close()", tree)
        await seen.until_path("created", tree / "end")
        assert not [path for _, path in changed_paths(seen.events) if "unseen" in path]

    play(tmp_path, story, tree)


def test_a_watched_file_is_followed_through_its_replacement(tmp_path: Path, tree: Path) -> None:
    watched = tree / "passwd"
    watched.touch()

    async def story(seen: Seen, _: InotifySensor) -> None:
        script = "open(a[0] + b'/new', 'w').close(); os.rename(a[0] + b'/new', a[0] + b'/passwd')"
        act(script, tree)
        await seen.until_path("renamed", watched)
        assert [path for _, path in changed_paths(seen.events)] == [str(watched)]

    play(tmp_path, story, watched)


def test_a_tree_that_does_not_exist_yet_is_watched_when_it_comes(tmp_path: Path) -> None:
    tree = tmp_path / "later" / "tree"

    async def story(seen: Seen, _: InotifySensor) -> None:
        act("os.makedirs(a[0])", tree)
        await seen.until_path("created", tmp_path / "later")
        act("open(a[0] + b'/f', 'w').close()", tree)
        await seen.until(lambda events: find(events, "modified", tree / "f") is not None)

    play(tmp_path, story, tree)


def test_names_of_any_bytes(tmp_path: Path, tree: Path) -> None:
    name = bytes(value for value in range(1, 256) if value != ord("/")) + b"x"

    async def story(seen: Seen, _: InotifySensor) -> None:
        act("open(os.path.join(a[0], a[1]), 'w').close()", tree, name)
        await seen.until_path("created", f"{tree}/{os.fsdecode(name)}")

    play(tmp_path, story, tree)


def test_an_overflow_is_a_loss_and_new_folders_are_found_again(tmp_path: Path, tree: Path) -> None:
    script = (
        "for n in range(9000):\n"
        "    f = a[0] + b'/%d' % n; os.close(os.open(f, os.O_CREAT | os.O_WRONLY)); os.unlink(f)\n"
        "os.mkdir(a[0] + b'/late')"
    )

    async def story(seen: Seen, sensor: InotifySensor) -> None:
        act(script, tree)
        await seen.until(lambda events: any(isinstance(e, EventsLost) for e in events))
        (loss,) = [event for event in seen.events if isinstance(event, EventsLost)]
        assert (loss.stage, loss.is_exact) == ("kernel", False)
        assert sensor.counters()["overflows"] == 1
        act("open(a[0] + b'/late/f', 'w').close()", tree)
        await seen.until_path("created", tree / "late" / "f")

    play(tmp_path, story, tree)


def test_more_folders_than_the_bound_are_blind_spots(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch_tree.WatchTree.__init__, "__defaults__", (10,))
    for number in range(30):
        (tree / f"d{number}").mkdir()

    async def story(seen: Seen, sensor: InotifySensor) -> None:
        assert sensor.counters()["folders"] == 9, "one of ten is kept for new folders"
        assert "more than 10 folders" in sensor.blind_spots()[0]
        act("os.mkdir(a[0] + b'/kept-for'); os.mkdir(a[0] + b'/one-more')", tree)
        await seen.until(lambda events: any(isinstance(e, EventsLost) for e in events))

    play(tmp_path, story, tree)


def test_own_folders_are_left_out(tmp_path: Path) -> None:
    async def story(seen: Seen, _: InotifySensor) -> None:
        act("open(a[0] + b'/state/journal', 'w').close()", tmp_path)
        act("open(a[0] + b'/end', 'w').close()", tmp_path)
        await seen.until_path("created", tmp_path / "end")
        assert [path for _, path in changed_paths(seen.events) if "journal" in path] == []

    play(tmp_path, story, tmp_path)


AS_NOBODY = """
import asyncio, json, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import inotify_simple
from vedette.ports.sensor import SensorContext
from vedette.sensors.inotify import InotifySensor

# All modules are loaded by now: the interpreter may lie where nobody may not read.
inotify_simple.INotify().close()
os.setgroups([]); os.setgid(65534); os.setuid(65534)

async def run():
    base = Path(sys.argv[1])
    watch = (str(base / "open"), str(base / "secret"))
    sensor = InotifySensor(SensorContext(lambda batch: None, base / "run", base / "state", watch))
    await sensor.open()
    await sensor.prove("abcdefgh")
    print(json.dumps([sensor.blind_spots(), sensor.counters()["folders"]]))
    await sensor.close()

asyncio.run(run())
"""


def test_without_root_it_watches_what_it_may_and_names_the_rest(as_root: None) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        Path(base).chmod(0o711)
        for name, mode in (("open", 0o755), ("secret", 0o700), ("run", 0o777), ("state", 0o777)):
            (Path(base) / name).mkdir()
            (Path(base) / name).chmod(mode)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", AS_NOBODY, base]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        spots, folders = json.loads(done.stdout)
        assert spots == [f"{base}: Permission denied", f"{base}/secret: Permission denied"]
        assert folders >= 2


def test_nothing_to_watch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="at least one tree"):
        asyncio.run(InotifySensor(context(Seen(), tmp_path)).open())


def test_the_proof_fails_when_the_descriptor_is_no_longer_read(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InotifySensor, "proof_timeout_s", 0.2)

    async def story(_: Seen, sensor: InotifySensor) -> None:
        asyncio.get_running_loop().remove_reader(sensor._inotify.fileno())
        with pytest.raises(SensorError, match="saw none"):
            await sensor.prove("qrstuvwx")

    play(tmp_path, story, tree)


def test_watches_that_somebody_removed_are_missed(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, sensor: InotifySensor) -> None:
        (tree / "below").mkdir()
        await seen.until_path("created", tree / "below")
        assert await sensor.taken_away() == ""
        assert sensor._watches is not None
        # As with a descriptor got by pidfd_getfd(2): the kernel says no more than that it is gone.
        sensor._inotify.rm_watch(sensor._watches._descriptor_of[str(tree / "below")])
        (tree / "after").touch()
        await seen.until_path("created", tree / "after")
        expected = f"1 inotify watches were removed, such as that of {tree}/below"
        assert await sensor.taken_away() == expected
        assert await sensor.taken_away() == ""

    play(tmp_path, story, tree)


def test_a_folder_that_was_removed_is_not_missed(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, sensor: InotifySensor) -> None:
        for number in range(50):
            (tree / str(number)).mkdir()
            (tree / str(number)).rmdir()
            (tree / str(number % 3)).mkdir(exist_ok=True)
            assert await sensor.taken_away() == ""
        await seen.until_path("deleted", tree / "49")
        assert await sensor.taken_away() == ""

    play(tmp_path, story, tree)
