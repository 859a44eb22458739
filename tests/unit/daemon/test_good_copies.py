"""Good copies follow the baseline, and nothing else becomes one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulators.good_files import MemoryBaseline, record_of

from vedette.daemon import good_copies
from vedette.daemon.good_copies import FILE_BYTES, GoodCopyKeeper, Summary, Upkeep
from vedette.errors import StoreError
from vedette.model.baseline import GoodCopy
from vedette.store.good_copies import FileGoodCopies


class Scene(NamedTuple):
    """A configuration folder, what is expected of it, and the copies."""

    etc: Path
    baseline: MemoryBaseline
    copies: FileGoodCopies
    keeper: GoodCopyKeeper

    def write(self, name: str, content: bytes) -> Path:
        file = self.etc / name
        file.write_bytes(content)
        return file

    def accept(self, *files: Path) -> None:
        self.baseline.accept([record_of(file) for file in files], ())

    def found(self, file: Path) -> bytes | None:
        record = self.baseline.known(str(file))
        copy = self.copies.find(str(file), record.digest) if record else None
        return copy.content if copy else None


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    etc = tmp_path / "etc"
    etc.mkdir()
    baseline = MemoryBaseline()
    copies = FileGoodCopies(tmp_path / "state", file_bytes=FILE_BYTES)
    return Scene(etc, baseline, copies, GoodCopyKeeper(baseline, copies, [str(etc)]))


def test_what_the_baseline_expects_is_kept_with_its_attributes(scene: Scene) -> None:
    file = scene.write("a.conf", b"a = 1")
    os.setxattr(file, "user.a", b"1")
    scene.accept(file)
    assert scene.keeper.refresh() == Summary(kept=1, written=1, beyond=0, unlike=0)
    assert scene.found(file) == b"a = 1"
    copy = scene.copies.find(str(file), record_of(file).digest)
    assert copy is not None
    assert copy.attributes["user.a"] == b"1"
    assert scene.keeper.refresh() == Summary(kept=1, written=0, beyond=0, unlike=0)


def test_what_an_attacker_wrote_is_never_taken_for_good(scene: Scene) -> None:
    file = scene.write("a.conf", b"a = 1")
    scene.accept(file)
    scene.keeper.refresh()
    file.write_bytes(b"a = 2")
    assert scene.keeper.refresh() == Summary(kept=1, written=0, beyond=0, unlike=0)
    assert scene.found(file) == b"a = 1"
    other = scene.write("b.conf", b"b")
    scene.accept(other)
    other.write_bytes(b"tampered between scan and copy")
    assert scene.keeper.refresh() == Summary(kept=1, written=0, beyond=0, unlike=1)
    assert scene.found(other) is None


def test_a_link_put_in_its_place_is_not_followed(scene: Scene) -> None:
    file = scene.write("a.conf", b"a = 1")
    scene.accept(file)
    file.rename(scene.etc / "moved")
    file.symlink_to(scene.etc / "moved")
    assert scene.keeper.refresh().unlike == 1


def test_what_was_accepted_takes_the_place_of_what_was_before(scene: Scene) -> None:
    file = scene.write("a.conf", b"a = 1")
    scene.accept(file)
    scene.keeper.refresh()
    before = record_of(file).digest
    file.write_bytes(b"a = 2")
    scene.accept(file)
    assert scene.keeper.refresh().written == 1
    assert scene.found(file) == b"a = 2"
    assert scene.copies.find(str(file), before) is None
    scene.baseline.accept([], [str(file)])
    assert scene.keeper.refresh() == Summary(kept=0, written=0, beyond=0, unlike=0)
    assert scene.copies.find(str(file), record_of(file).digest) is None


def test_the_limits_hold(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    large = scene.write("large", b"x" * (FILE_BYTES + 1))
    many = [scene.write(f"{number}.conf", b"12345678") for number in range(5)]
    scene.accept(large, *many)
    monkeypatch.setattr(good_copies, "TOTAL_BYTES", 25)
    assert scene.keeper.refresh() == Summary(kept=3, written=3, beyond=2, unlike=0)
    monkeypatch.setattr(good_copies, "FILES_MAX", 2)
    assert scene.keeper.refresh() == Summary(kept=2, written=0, beyond=3, unlike=0)
    assert scene.found(large) is None


def test_upkeep_runs_once_at_a_time_and_once_more_where_asked(scene: Scene) -> None:
    file = scene.write("a.conf", b"a = 1")
    scene.accept(file)
    problems: list[str] = []
    runs: list[Summary] = []

    async def story() -> None:
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        class Counted(GoodCopyKeeper):
            def refresh(self) -> Summary:
                runs.append(super().refresh())
                if len(runs) == 2:
                    loop.call_soon_threadsafe(is_over.set)
                return runs[-1]

        upkeep = Upkeep(Counted(scene.baseline, scene.copies, [str(scene.etc)]), problems.extend)
        for _ in range(3):
            upkeep.begin()
        async with asyncio.timeout(30):
            await is_over.wait()

    asyncio.run(story())
    assert [run.written for run in runs] == [1, 0]
    assert problems == []


def test_a_disk_that_takes_no_copies_is_told(scene: Scene) -> None:
    scene.accept(scene.write("a.conf", b"a = 1"))
    problems: list[str] = []

    class Full(FileGoodCopies):
        def keep(self, copy: GoodCopy) -> None:
            raise StoreError(f"{copy.path}: No space left on device")

    async def story() -> None:
        copies, is_told = Full(scene.etc.parent, file_bytes=FILE_BYTES), asyncio.Event()

        def tell(lines: Sequence[str]) -> None:
            problems.extend(lines)
            is_told.set()

        Upkeep(GoodCopyKeeper(scene.baseline, copies, [str(scene.etc)]), tell).begin()
        async with asyncio.timeout(30):
            await is_told.wait()

    asyncio.run(story())
    assert "No space left on device" in problems[0]
