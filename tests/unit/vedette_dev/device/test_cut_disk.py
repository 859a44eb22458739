"""What a power cut may leave of recorded writes: what a flush ended, and any part of the rest."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.unit.vedette_dev.device.test_block_log import FLUSH, FUA, SECTOR, written

from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.cut_disk import Cut, CutDisk, choose


def block(letter: str, count: int = 1) -> bytes:
    return letter.encode() * SECTOR * count


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(block("-", 8))
    return path


def test_what_no_flush_ended_is_there_only_where_the_cut_says_so(
    tmp_path: Path, disk: Path
) -> None:
    path = written(
        tmp_path / "log", (0, block("a"), 0), (0, b"", FLUSH), (1, block("b"), 0),
        (2, block("c", 2), 0),
    )  # fmt: skip
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        assert cut_disk.forward(4) == (2, 3)
        assert cut_disk.read(0, 4 * SECTOR) == block("a") + block("-", 3)
        with cut_disk.cut(Cut(4, (3,), SECTOR)):
            assert cut_disk.read(0, 4 * SECTOR) == block("a") + block("-") + block("c") + block("-")
        assert cut_disk.read(0, 4 * SECTOR) == block("a") + block("-", 3)


def test_a_flush_makes_safe_what_came_before_it_alone(tmp_path: Path, disk: Path) -> None:
    path = written(tmp_path / "log", (0, block("a"), 0), (1, block("b"), FLUSH))
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        assert cut_disk.forward(2) == (1,)
        assert cut_disk.read(0, 2 * SECTOR) == block("a") + block("-")


def test_what_was_written_at_once_is_not_undone_by_a_later_flush(
    tmp_path: Path, disk: Path
) -> None:
    path = written(tmp_path / "log", (0, block("a"), 0), (0, block("b"), FUA), (0, b"", FLUSH))
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        assert cut_disk.forward(2) == ()
        cut_disk.forward(3)
        assert cut_disk.read(0, SECTOR) == block("b")


def test_overlapping_writes_of_a_cut_are_all_taken_back(tmp_path: Path, disk: Path) -> None:
    path = written(tmp_path / "log", (0, block("a", 2), 0), (1, block("b", 2), 0))
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        with cut_disk.cut(Cut(2, (0, 1))):
            assert cut_disk.read(0, 3 * SECTOR) == block("a") + block("b", 2)
        assert cut_disk.read(0, 3 * SECTOR) == block("-", 3)


def test_a_disk_never_goes_back(tmp_path: Path, disk: Path) -> None:
    path = written(tmp_path / "log", (0, block("a"), 0), (1, block("b"), 0))
    with BlockLog(path) as log, CutDisk(disk, log) as cut_disk:
        cut_disk.forward(2)
        with pytest.raises(ValueError, match="expected at least 2"):
            cut_disk.forward(1)


def test_cuts_are_of_every_kind(tmp_path: Path) -> None:
    path = written(tmp_path / "log", *((number, block("a", 4), 0) for number in range(6)))
    chance = random.Random(1)
    with BlockLog(path) as log:
        made = [choose(log, 6, (0, 1, 2, 3, 4, 5), chance) for _ in range(200)]
    assert {len(cut.kept) for cut in made} >= {0, 1, 2, 3, 4, 6}
    assert {cut.torn_at for cut in made} >= {-1, 0, SECTOR, 4 * SECTOR}
    assert all(cut.after == 6 for cut in made)
