"""A volatile write cache keeps what was flushed, and of the rest what chance keeps."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.block_client import BlockClient

from vedette_dev.device import volatile_disk
from vedette_dev.device.live import Moment, _nth_write, moment
from vedette_dev.device.volatile_disk import Loss, VolatileDisk
from vedette_dev.images.layout import MIB, layout

SECTOR = 512
SECTORS = 64
ENDS_S = 10.0


class Way(random.Random):
    """Chance that keeps nothing (0), all (1), or the last write alone, torn at so many sectors."""

    def __init__(self, way: int, torn_sectors: int = 0) -> None:
        super().__init__(1)
        self._answers = [way, torn_sectors]

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:  # noqa: ARG002
        return self._answers.pop(0)

    def random(self) -> float:
        return 0.9


def block(letter: str, count: int = 1) -> bytes:
    return letter.encode() * SECTOR * count


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[VolatileDisk]:
    source = tmp_path / "source.img"
    source.write_bytes(block("-", SECTORS))
    with VolatileDisk(source, tmp_path / "disk") as made:
        made.power_on(lambda: None)
        yield made


def test_a_device_sees_all_that_it_wrote(disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        assert device.size_bytes == SECTORS * SECTOR
        device.write(SECTOR, block("a"))
        assert device.read(0, 3 * SECTOR) == block("-") + block("a") + block("-")


@pytest.mark.parametrize(
    ("chance", "left", "loss"),
    [
        (Way(0), "a--", Loss(2, 2 * SECTOR)),
        (Way(1), "abc", Loss(0, 0)),
        (Way(2, 1), "a-c", Loss(1, SECTOR)),
        (Way(2, 0), "a--", Loss(2, 2 * SECTOR)),
    ],
)
def test_what_was_not_flushed_may_be_gone(
    chance: random.Random, left: str, loss: Loss, disk: VolatileDisk
) -> None:
    with BlockClient(disk.url) as device:
        device.write(0, block("a"))
        device.flush()
        device.write(SECTOR, block("b"))
        device.write(2 * SECTOR, block("c"))
        disk.cut_now()
    assert disk.lose(chance) == loss
    assert disk.read(0, 3 * SECTOR) == b"".join(map(block, left))


def test_the_next_start_sees_what_the_cut_left(disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        device.write(0, block("a"))
        device.flush()
        device.write(0, block("b"))
        disk.cut_now()
    disk.lose(Way(0))
    disk.power_on(lambda: None)
    with BlockClient(disk.url) as device:
        assert device.read(0, SECTOR) == block("a")


def test_a_restart_in_good_order_is_no_cut(disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        device.write(0, block("a"))
        device.leave()
    with BlockClient(disk.url) as device:
        assert device.read(0, SECTOR) == block("a")
        device.flush()
    disk.cut_now()
    assert disk.lose(Way(0)) == Loss(0, 0)
    assert disk.read(0, SECTOR) == block("a")


def test_a_write_through_the_cache_is_safe_at_once(disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        device.write(0, block("a"))
        device.write(0, block("b"), is_fua=True)
        disk.cut_now()
    assert disk.lose(Way(0)) == Loss(0, 0)
    assert disk.read(0, SECTOR) == block("b")


def test_a_full_cache_writes_its_oldest(
    disk: VolatileDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volatile_disk, "CACHE_BYTES", 2 * SECTOR)
    with BlockClient(disk.url) as device:
        for number, letter in enumerate("abc"):
            device.write(number * SECTOR, block(letter))
        disk.cut_now()
    assert disk.lose(Way(0)).writes == 2
    assert disk.read(0, 3 * SECTOR) == block("a") + block("-", 2)


def test_the_power_goes_at_the_write_that_is_waited_for(disk: VolatileDisk) -> None:
    ended = threading.Event()
    disk.power_on(ended.set)
    where = layout(MIB, 16 * MIB)
    wanted = Moment(where.environment, 2)
    seen = _nth_write(wanted)
    disk.cut_when(lambda offset, size: seen(offset + where.environment.start_bytes, size))
    with BlockClient(disk.url) as device:
        device.write(0, block("a"))
        device.send(1, SECTOR, SECTOR, block("b"))
        assert ended.wait(ENDS_S)
    assert disk.is_cut.is_set()
    assert disk.lose(Way(1)) == Loss(0, 0)
    assert disk.read(0, 2 * SECTOR) == block("a") + block("-"), (
        "a write not told as done is not kept"
    )


def test_writes_elsewhere_are_not_counted() -> None:
    where = layout(MIB, 16 * MIB)
    seen = _nth_write(Moment(where.slot_b, 1))
    assert not seen(where.slot_a.start_bytes, MIB)
    assert not seen(where.slot_b.start_bytes + where.slot_b.size_bytes, SECTOR)
    assert seen(where.slot_b.start_bytes + SECTOR, SECTOR)


def test_moments_go_through_all_that_an_update_writes() -> None:
    where = layout(MIB, 16 * MIB)
    made = [moment(number, where, random.Random(number)) for number in range(60)]
    assert [one.part.name for one in made[:3]] == ["rootfs-b", "uboot-env", "data"]
    assert {one.nth for one in made if one.part is where.environment} >= {1, 8}


@pytest.mark.parametrize("size", [(32 << 20) + 1, 1 << 31])
def test_a_request_that_is_too_large_ends_the_connection(size: int, disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        device.send(0, 0, size)
        assert device.is_ended()
    with BlockClient(disk.url) as device:
        assert device.read(0, SECTOR) == block("-")


def test_what_is_not_offered_is_refused(disk: VolatileDisk) -> None:
    with BlockClient(disk.url) as device:
        device.send(4, 0, SECTOR)
        assert device.reply() == 22
