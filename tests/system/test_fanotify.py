"""The fanotify sensor on real file systems."""

from __future__ import annotations

import asyncio
import ctypes
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.system._watching import Seen, act, changed_paths, context, find

from vedette.codec.fanotify import MOVED_FROM
from vedette.errors import SensorError
from vedette.model.event import Event, EventsLost, FileChanged
from vedette.sensors import _fanotify_group, fanotify
from vedette.sensors._trees import Trees
from vedette.sensors.fanotify import FanotifySensor

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("kernel", "as_root")]

Story = Callable[[Seen, FanotifySensor], Awaitable[None]]


@asynccontextmanager
async def watching(tmp_path: Path, *watch: Path) -> AsyncIterator[tuple[Seen, FanotifySensor]]:
    seen = Seen()
    sensor = FanotifySensor(context(seen, tmp_path, *watch))
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


def test_each_kind_of_change_is_told_with_pid_mode_and_owner(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, _: FanotifySensor) -> None:
        script = "f = a[0] + b'/f'; open(f, 'w').write('x')"
        pid = act(script, tree)
        made = await seen.until_path("modified", tree / "f")
        assert (made.pid, made.uid, made.tier) == (pid, 0, "fanotify")
        assert stat.S_ISREG(made.mode)
        act("os.chmod(a[0] + b'/f', 0o4755)", tree)
        changed = await seen.until_path("attributes", tree / "f")
        assert changed.mode & stat.S_ISUID
        act("os.rename(a[0] + b'/f', a[0] + b'/g')", tree)
        moved = await seen.until_path("renamed", tree / "g")
        assert moved.old_path == str(tree / "f")
        act("os.unlink(a[0] + b'/g')", tree)
        await seen.until_path("deleted", tree / "g")
        assert find(seen.events, "created", tree / "f") is not None

    play(tmp_path, story, tree)


def test_what_happens_outside_the_trees_is_dropped(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, sensor: FanotifySensor) -> None:
        outside = tmp_path / "outside"
        act("os.mkdir(a[0]); open(a[0] + b'/f', 'w').close(); os.unlink(a[0] + b'/f')", outside)
        act("open(a[0] + b'/end', 'w').close()", tree)
        await seen.until_path("created", tree / "end")
        assert {path for _, path in changed_paths(seen.events)} == {str(tree / "end")}
        assert sensor.counters()["unwatched"] >= 2

    play(tmp_path, story, tree)


def test_a_part_mounted_again_gives_nothing_outside_of_it_a_name(
    tmp_path: Path, tree: Path, remounted: Path
) -> None:
    """The kernel calls "/" what lies outside of such a mount: what is made there was ours then."""
    outside = tmp_path / "outside"
    outside.mkdir()

    async def story(seen: Seen, sensor: FanotifySensor) -> None:
        assert str(remounted) in directories(sensor)
        same_names = outside / str(tree).lstrip("/") / "false"
        act("import pathlib; pathlib.Path(os.fsdecode(a[0])).mkdir(parents=True)", same_names)
        act("open(a[0] + b'/true', 'w').close()", remounted)
        await seen.until_path("created", remounted / "true")
        assert {path for _, path in changed_paths(seen.events)} == {str(remounted / "true")}

    play(tmp_path, story, tree)


@pytest.fixture
def remounted(tree: Path) -> Iterator[Path]:
    """A folder of the tree that is a mount of its own, of the same file system."""
    part = tree / "part"
    part.mkdir()
    subprocess.run(["mount", "--bind", part, part], check=True)
    yield part
    subprocess.run(["umount", part], check=True)


def test_a_watched_file_is_followed_through_its_replacement(tmp_path: Path, tree: Path) -> None:
    watched = tree / "passwd"
    watched.write_text("old")

    async def story(seen: Seen, _: FanotifySensor) -> None:
        script = "open(a[0] + b'/new', 'w').close(); os.rename(a[0] + b'/new', a[0] + b'/passwd')"
        act(script, tree)
        moved = await seen.until_path("renamed", watched)
        assert moved.old_path == str(tree / "new")
        assert changed_paths(seen.events) == [("renamed", str(watched))]

    play(tmp_path, story, watched)


def test_names_of_directories_already_gone_are_known(tmp_path: Path, tree: Path) -> None:
    script = (
        "for n in range(100):\n"
        "    d = a[0] + b'/d%d' % n; os.mkdir(d); open(d + b'/f', 'w').close()\n"
        "    os.unlink(d + b'/f'); os.rmdir(d)"
    )

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act(script, tree)  # the loop stands still: all is gone before the first event is read
        act("open(a[0] + b'/end', 'w').close()", tree)
        await seen.until_path("created", tree / "end")
        for number in range(100):
            assert find(seen.events, "created", tree / f"d{number}" / "f"), number
            assert find(seen.events, "deleted", tree / f"d{number}" / "f"), number
        assert not [event for event in seen.events if isinstance(event, EventsLost)]

    play(tmp_path, story, tree)


def test_a_renamed_tree_takes_its_names_along(tmp_path: Path, tree: Path) -> None:
    (tree / "a" / "b").mkdir(parents=True)

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act("open(a[0] + b'/a/b/one', 'w').close()", tree)
        await seen.until_path("created", tree / "a" / "b" / "one")
        act(
            "os.rename(a[0] + b'/a', a[0] + b'/z'); open(a[0] + b'/z/b/two', 'w').close();"
            "os.mkdir(a[0] + b'/a'); os.mkdir(a[0] + b'/a/b');"
            "open(a[0] + b'/a/b/three', 'w').close()",
            tree,
        )
        await seen.until_path("created", tree / "a" / "b" / "three")
        assert find(seen.events, "created", tree / "z" / "b" / "two")
        assert find(seen.events, "renamed", tree / "z")

    play(tmp_path, story, tree)


def test_a_directory_that_comes_from_outside_is_watched_from_then_on(
    tmp_path: Path, tree: Path
) -> None:
    outside = tmp_path / "outside" / "deep"
    outside.mkdir(parents=True)

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act("open(a[0] + b'/before', 'w').close()", outside)  # its handle is known as unwatched
        act("open(a[0] + b'/mark', 'w').close()", tree)
        await seen.until_path("created", tree / "mark")
        act("os.rename(a[0], a[1] + b'/in')", tmp_path / "outside", tree)
        moved = await seen.until_path("renamed", tree / "in")
        assert moved.old_path == str(tmp_path / "outside")
        assert moved.is_directory
        act("open(a[0] + b'/in/deep/after', 'w').close()", tree)
        await seen.until_path("created", tree / "in" / "deep" / "after")
        act("os.rename(a[0] + b'/in', a[1])", tree, tmp_path / "out")
        await seen.until_path("renamed", tmp_path / "out")
        act("open(a[0] + b'/deep/unseen', 'w').close()", tmp_path / "out")
        act("open(a[0] + b'/end', 'w').close()", tree)
        await seen.until_path("created", tree / "end")
        assert not [p for _, p in changed_paths(seen.events) if "unseen" in p or "before" in p]

    play(tmp_path, story, tree)


def test_taking_the_whole_tree_away_is_told(tmp_path: Path) -> None:
    tree = tmp_path / "above" / "tree"
    tree.mkdir(parents=True)

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act("os.rename(a[0], a[0] + b'-gone')", tmp_path / "above")
        moved = await seen.until_path("renamed", tmp_path / "above-gone")
        assert moved.old_path == str(tmp_path / "above")

    play(tmp_path, story, tree)


def test_names_of_255_bytes_of_any_kind_and_very_long_paths(tmp_path: Path, tree: Path) -> None:
    name = bytes(value for value in range(1, 256) if value != ord("/")) + b"x"
    script = (
        "os.chdir(a[0]); depth = 0\n"
        "while depth < 17:\n"
        "    os.mkdir(b'd' * 250); os.chdir(b'd' * 250); depth += 1\n"
        "    open(b'f%d' % depth, 'w').close()\n"
        "os.chdir(a[0]); open(a[1], 'w').close()"
    )

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act(script, tree, name)
        odd = await seen.until_path("created", f"{tree}/{os.fsdecode(name)}")
        assert os.fsencode(odd.path).endswith(name)
        longest = max((path for _, path in changed_paths(seen.events)), key=len)
        assert len(longest) > 4096
        assert longest.endswith("/f17")

    play(tmp_path, story, tree)
    subprocess.run(["rm", "-rf", str(tree)], check=True)


def overflows(events: Sequence[Event]) -> list[EventsLost]:
    return [e for e in events if isinstance(e, EventsLost) and e.stage == "kernel"]


def test_an_overflow_is_a_loss_and_the_sensor_goes_on(tmp_path: Path, tree: Path) -> None:
    script = (
        "for n in range(18000): os.close(os.open(a[0] + b'/%d' % n, os.O_CREAT | os.O_WRONLY))\n"
        "for n in range(18000): os.unlink(a[0] + b'/%d' % n)"
    )

    async def story(seen: Seen, sensor: FanotifySensor) -> None:
        act(script, tree)  # more than max_queued_events while nobody reads
        await seen.until(lambda events: bool(overflows(events)))
        # Whoever else writes to this file system may make it overflow again.
        losses = overflows(seen.events)
        assert {(loss.lost, loss.is_exact) for loss in losses} == {(0, False)}
        assert sensor.counters()["overflows"] == len(losses)
        act("open(a[0] + b'/after', 'w').close()", tree)
        await seen.until_path("created", tree / "after")
        await sensor.prove("ijklmnop")

    play(tmp_path, story, tree)


@pytest.mark.parametrize("features", [1, 2, 3, 4])
def test_every_lesser_set_of_features_still_tells_renames(
    features: int, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = (_fanotify_group.FEATURES[features],)
    monkeypatch.setattr(_fanotify_group.Group.__init__, "__defaults__", (chosen,))

    async def story(seen: Seen, _: FanotifySensor) -> None:
        act("open(a[0] + b'/f', 'w').close(); os.rename(a[0] + b'/f', a[0] + b'/g')", tree)
        moved = await seen.until_path("renamed", tree / "g")
        assert moved.old_path == str(tree / "f")
        act("os.rename(a[0] + b'/g', a[1])", tree, elsewhere / "gone")
        if chosen[0][1] & MOVED_FROM:
            await seen.until_path("deleted", tree / "g")
        else:
            await seen.until_path("renamed", elsewhere / "gone")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    play(tmp_path, story, tree)


@pytest.fixture
def mounted(tree: Path) -> Iterator[Callable[[], Path]]:
    """Mounts a small tmpfs below the tree when called; it is gone after the test."""
    point = tree / "mnt"
    point.mkdir()

    def mount() -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", point], check=True)
        return point

    yield mount
    subprocess.run(["umount", point], check=False, capture_output=True)


def test_a_file_system_mounted_later_is_followed_and_can_be_unmounted(
    tmp_path: Path, tree: Path, mounted: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Seen, sensor: FanotifySensor) -> None:
        marked = watch_marks(sensor, monkeypatch)
        point = mounted()
        async with asyncio.timeout(20):
            await marked.wait()
        assert str(point) in directories(sensor)
        act("open(a[0] + b'/f', 'w').close()", point)
        await seen.until_path("created", point / "f")
        await sensor.prove("ijklmnop")
        subprocess.run(["umount", point], check=True)  # noqa: ASYNC221

    play(tmp_path, story, tree)


def directories(sensor: FanotifySensor) -> list[str]:
    assert sensor._group is not None
    return [filesystem.directory for filesystem in sensor._group.filesystems]


def watch_marks(sensor: FanotifySensor, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the sensor has marked its file systems again."""
    group, marked = sensor._group, asyncio.Event()
    assert group is not None
    mark = group.mark

    def noticed(trees: Trees) -> bool:
        marked.set()
        return mark(trees)

    monkeypatch.setattr(group, "mark", noticed)
    return marked


def test_a_file_system_that_takes_no_mark_is_named(tmp_path: Path) -> None:
    sensor = FanotifySensor(context(Seen(), tmp_path, Path("/proc/sys")))
    with pytest.raises(SensorError, match=r"/proc \(proc\) takes no file system mark"):
        asyncio.run(sensor.open())


def test_without_a_tree_it_says_what_to_set(tmp_path: Path) -> None:
    sensor = FanotifySensor(context(Seen(), tmp_path))
    with pytest.raises(SensorError, match="at least one tree"):
        asyncio.run(sensor.open())


def test_own_changes_are_no_events(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, sensor: FanotifySensor) -> None:
        (tree / "mine").write_text("x")
        act("open(a[0] + b'/theirs', 'w').close()", tree)
        await seen.until_path("created", tree / "theirs")
        assert find(seen.events, "created", tree / "mine") is None
        assert sensor.counters()["own"] >= 1

    play(tmp_path, story, tree)


def test_the_proof_fails_when_the_descriptor_is_no_longer_read(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FanotifySensor, "proof_timeout_s", 0.2)

    async def story(_: Seen, sensor: FanotifySensor) -> None:
        assert sensor._group is not None
        asyncio.get_running_loop().remove_reader(sensor._group.descriptor)
        with pytest.raises(SensorError, match="saw none"):
            await sensor.prove("qrstuvwx")

    play(tmp_path, story, tree)


def test_the_proof_writes_nothing_into_the_trees(tmp_path: Path, tree: Path) -> None:
    async def story(_: Seen, sensor: FanotifySensor) -> None:
        await sensor.prove("qrstuvwx")

    play(tmp_path, story, tree)
    assert list(tree.iterdir()) == []
    proof = tmp_path / "state" / fanotify.PROOF_FILE
    assert proof.read_bytes() == b""
    assert isinstance(proof, Path)


def test_a_removed_file_has_neither_mode_nor_owner(tmp_path: Path, tree: Path) -> None:
    async def story(seen: Seen, _: FanotifySensor) -> None:
        act("open(a[0] + b'/f', 'w').close(); os.unlink(a[0] + b'/f')", tree)
        gone: FileChanged = await seen.until_path("deleted", tree / "f")
        assert (gone.mode, gone.uid, gone.digest) == (-1, -1, "")

    play(tmp_path, story, tree)


def test_marks_that_somebody_flushed_are_missed(tmp_path: Path, tree: Path) -> None:
    fan_mark_flush, fan_mark_filesystem = 0x80, 0x100

    async def story() -> None:
        async with watching(tmp_path, tree) as (_, sensor):
            assert await sensor.taken_away() == ""
            assert sensor._group is not None
            flags = fan_mark_flush | fan_mark_filesystem
            # As with a descriptor got by pidfd_getfd(2).
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.fanotify_mark(sensor._group.descriptor, flags, 0, -100, b"/") == 0
            assert await sensor.taken_away() == "1 of 1 fanotify marks were removed"

    asyncio.run(story())
