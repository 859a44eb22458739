"""What a cut left is judged as a start would find it: loader, slots, data, journal, floor."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulators.signing import signer
from tests.unit.vedette_dev.device.test_block_log import FLUSH, SECTOR, written

from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState
from vedette_dev.device import ext4
from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.campaign import positions
from vedette_dev.device.cut_disk import Cut, CutDisk
from vedette_dev.device.power_cuts import JOURNAL, Judge, Promise, Verdict
from vedette_dev.images import environment
from vedette_dev.images.layout import MIB, Layout, layout

pytestmark = pytest.mark.skipif(
    shutil.which("debugfs", path="/usr/sbin:/sbin") is None, reason="debugfs is missing: e2fsprogs"
)

OLD, NEW = b"old firmware".ljust(MIB, b"o"), b"new firmware".ljust(MIB, b"n")
FIRMWARES = {hashlib.sha256(OLD).digest(): "old", hashlib.sha256(NEW).digest(): "new"}
LAYOUT: Layout = layout(MIB, 16 * MIB)
"""Its data partition has a second group of blocks, and so a second superblock."""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Slot a holds the old firmware, slot b nothing; the journal has one entry, "told"."""
    data = tmp_path / "data"
    (data / "vedette" / JOURNAL).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    core = JournalCore(
        JournalPlace(data / "vedette" / JOURNAL, tmp_path / "run", "b" * 32),
        state=FileState(data / "vedette"), signer=signer(1), wall=lambda: 0.0,
    )  # fmt: skip
    core.open(0.0)
    draft = EntryDraft("incident", Severity.HIGH, 0.0, b"told", "up/finding", "", is_routine=False)
    core.append([[draft]], 0.0)
    core.close(0.0)
    ext4.make(data, tmp_path / "data.img", LAYOUT.data.size_bytes, "data")
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(LAYOUT.size_bytes)
        for at, content in (
            (LAYOUT.slot_a.start_bytes, OLD),
            (LAYOUT.data.start_bytes, (tmp_path / "data.img").read_bytes()),
            *((LAYOUT.environment_copy(one), environment.encode({"bslot": "a"})) for one in (0, 1)),
        ):
            stream.seek(at)
            stream.write(content)
    return path


def judged(
    disk: Path, folder: Path, *entries: tuple[int, bytes, int], promises: Sequence[Promise] = ()
) -> Verdict:
    """What is said of the disk after these writes (offset in bytes, data, flags), all flushed."""
    rows = [(offset // SECTOR, data, flags) for offset, data, flags in entries]
    path = written(folder / "log", *rows, (0, b"", FLUSH))
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        judge = Judge(
            cut_disk, layout=LAYOUT, firmwares=FIRMWARES, image_bytes=MIB, folder=folder / "judged"
        )
        with cut_disk.cut(Cut(len(log.entries), ())):
            return judge.judge(promises)


def copy(number: int, **values: str) -> tuple[int, bytes, int]:
    return LAYOUT.environment_copy(number), environment.encode(values), 0


def torn(number: int) -> tuple[int, bytes, int]:
    return LAYOUT.environment_copy(number), b"\xff" * SECTOR, 0


def test_nothing_is_said_of_a_disk_on_which_all_holds(disk: Path, tmp_path: Path) -> None:
    found = judged(disk, tmp_path, promises=[Promise(0, "told")])
    assert found.is_good, found
    assert found.slot == "a"


@pytest.mark.parametrize("number", [0, 1])
def test_one_whole_copy_of_the_environment_is_enough(
    number: int, disk: Path, tmp_path: Path
) -> None:
    assert judged(disk, tmp_path, torn(number)).is_good


def test_without_an_environment_nothing_starts(disk: Path, tmp_path: Path) -> None:
    assert judged(disk, tmp_path, torn(0), torn(1)).bricks


def test_a_slot_that_is_started_holds_a_whole_firmware(disk: Path, tmp_path: Path) -> None:
    tried = copy(0, bslot="a", tslot="b", tries="3")
    half = (LAYOUT.slot_b.start_bytes, NEW[: MIB // 2], 0)
    assert judged(disk, tmp_path, half, tried).bricks
    found = judged(disk, tmp_path, (LAYOUT.slot_b.start_bytes, NEW, 0), tried)
    assert (found.is_good, found.slot) == (True, "b")


def test_when_no_try_is_left_the_committed_slot_is_started(disk: Path, tmp_path: Path) -> None:
    found = judged(disk, tmp_path, copy(0, bslot="a", tslot="b", tries="0"))
    assert (found.is_good, found.slot) == (True, "a")


def test_what_arrived_before_the_cut_is_in_the_journal(disk: Path, tmp_path: Path) -> None:
    assert judged(disk, tmp_path, promises=[Promise(1, "never told")]).lost


def test_a_commit_that_was_told_stands(disk: Path, tmp_path: Path) -> None:
    assert judged(disk, tmp_path, promises=[Promise(1, "told", floor=7)]).problems


def test_a_journal_that_is_gone_is_a_loss(disk: Path, tmp_path: Path) -> None:
    """A file system made anew: whole, and empty."""
    (tmp_path / "empty/vedette" / JOURNAL).mkdir(parents=True)
    ext4.make(tmp_path / "empty", tmp_path / "new.img", LAYOUT.data.size_bytes, "data")
    wiped = (LAYOUT.data.start_bytes, (tmp_path / "new.img").read_bytes(), 0)
    assert judged(disk, tmp_path, wiped, promises=[Promise(1, "told")]).lost


def test_a_look_that_is_starved_says_nothing_of_the_disk(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starved = tmp_path / "bin/e2fsck"
    starved.parent.mkdir()
    starved.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    starved.chmod(0o755)
    monkeypatch.setitem(ext4._PATH, "PATH", f"{starved.parent}:{ext4._PATH['PATH']}")
    monkeypatch.setattr(ext4, "TIMEOUT_S", 0.2)
    with pytest.raises(DeviceError, match=r"^e2fsck took longer than 0\.2 s"):
        judged(disk, tmp_path)


def test_a_torn_superblock_is_mended_as_the_initrd_does_and_loses_nothing(
    disk: Path, tmp_path: Path
) -> None:
    at = LAYOUT.data.start_bytes + 1024
    torn_half = (at + SECTOR, b"\xff" * SECTOR, 0)
    found = judged(disk, tmp_path, torn_half, promises=[Promise(0, "told")])
    assert (found.is_good, found.is_mended) == (True, True), found


def test_a_file_system_that_has_lost_its_root_is_a_loss(disk: Path, tmp_path: Path) -> None:
    # Of ext4: the table of inodes follows the bitmaps; zeroes there are no root folder.
    spoilt = (LAYOUT.data.start_bytes + 16 * 1024, b"\0" * (512 * 1024), 0)
    assert judged(disk, tmp_path, spoilt).lost


def test_a_file_system_that_is_wrong_without_looking_so_is_told(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "data.img"
    argv = ["debugfs", "-w", "-R", "set_inode_field /vedette links_count 7", str(image)]
    subprocess.run(argv, check=True, env={"PATH": "/usr/sbin:/sbin"}, capture_output=True)
    [problem] = judged(disk, tmp_path, (LAYOUT.data.start_bytes, image.read_bytes(), 0)).problems
    assert "the data partition" in problem


def test_cuts_come_where_it_is_dangerous(disk: Path, tmp_path: Path) -> None:
    many = [(LAYOUT.slot_b.start_bytes // SECTOR, b"x" * SECTOR, 0)] * 400
    rows = [*many, (LAYOUT.environment.start_bytes // SECTOR, b"e" * SECTOR, 0), *many]
    with BlockLog(written(tmp_path / "log", *rows)) as log:
        found = positions(log.entries, LAYOUT, 100, random.Random(1))
    assert len(found) == 100
    assert found == sorted(found)
    assert sum(397 <= place <= 403 for place in found) >= 40
