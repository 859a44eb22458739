"""Images come into slots whole, and only what has to be written is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.images import MemoryImage, changed, image, index_file, sha256

from vedette.errors import FetchError, StoreError, TrustError
from vedette.ports.image_source import Run
from vedette.store import durable, slot_writer
from vedette.store.block_index import BlockIndexFile
from vedette.store.slot_file import PIECE_BYTES, SlotFile
from vedette.store.slot_writer import WriteReport, read_back, write_missing, write_whole

SIZE = 3 * PIECE_BYTES + 4096 * 5 + 77
CONTENT = image(1, SIZE)
OTHER = image(2, SIZE)


@contextmanager
def opened(path: Path, content: bytes = CONTENT) -> Iterator[SlotFile]:
    with closing(SlotFile(path, len(content))) as slot:
        yield slot


@contextmanager
def indexed(folder: Path, content: bytes = CONTENT) -> Iterator[BlockIndexFile]:
    path = index_file(folder, content)
    digest = sha256(path.read_bytes())
    with closing(BlockIndexFile(path, image_bytes=len(content), sha256=digest)) as index:
        yield index


def no_mark(marked_bytes: int) -> None:
    raise AssertionError(f"nobody expected a mark at {marked_bytes}")


def missing(folder: Path, source: MemoryImage, content: bytes = CONTENT) -> WriteReport:
    with opened(folder / "slot", content) as slot, indexed(folder, content) as index:
        report = write_missing(slot, source, index, None)
        read_back(slot, sha256(content))
    assert (folder / "slot").read_bytes() == content
    return report


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, PIECE_BYTES, PIECE_BYTES + 1, SIZE])
def test_a_whole_image_is_written_once(tmp_path: Path, size: int) -> None:
    content = CONTENT[:size]
    with opened(tmp_path / "slot", content) as slot:
        source = MemoryImage(content)
        report = write_whole(slot, source, sha256=sha256(content), start=0, mark=no_mark)
        read_back(slot, sha256(content))
    assert report == WriteReport(0, 0, size, size)
    assert source.asked == [Run(0, size)]
    assert (tmp_path / "slot").read_bytes() == content


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, PIECE_BYTES, PIECE_BYTES + 1, SIZE])
def test_an_indexed_image_is_written_once_and_then_not_at_all(tmp_path: Path, size: int) -> None:
    content = CONTENT[:size]
    assert missing(tmp_path, MemoryImage(content), content) == WriteReport(size, 0, size, size)
    source = MemoryImage(content)
    assert missing(tmp_path, source, content) == WriteReport(size, 0, 0, 0)
    assert source.asked == []


def test_a_similar_image_costs_what_differs(tmp_path: Path) -> None:
    blocks = (0, 1, 7, 300, 700, SIZE // 4096)
    (tmp_path / "slot").write_bytes(changed(CONTENT, *blocks))
    source = MemoryImage(CONTENT)
    report = missing(tmp_path, source)
    wanted = 5 * 4096 + SIZE % 4096
    assert report == WriteReport(SIZE, 0, wanted, wanted)
    assert source.asked[0] == Run(0, 8192)  # neighbours are asked for together
    assert len(source.asked) == 5


def test_a_longer_image_of_before_is_cut_and_a_shorter_one_filled(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(CONTENT + OTHER)
    assert missing(tmp_path, MemoryImage(CONTENT)).written == 0
    (tmp_path / "slot").write_bytes(CONTENT[: PIECE_BYTES + 5])
    assert missing(tmp_path, MemoryImage(CONTENT)).written == SIZE - PIECE_BYTES


def test_blocks_of_the_slot_that_runs_are_copied_and_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(OTHER)
    running = tmp_path / "running"
    running.write_bytes(changed(CONTENT, 3, 500)[: 2 * PIECE_BYTES])
    source = MemoryImage(CONTENT)
    with (
        opened(tmp_path / "slot") as slot,
        closing(SlotFile(running, SIZE, is_read_only=True)) as other,
        indexed(tmp_path) as index,
    ):
        report = write_missing(slot, source, index, other)
        read_back(slot, sha256(CONTENT))
    copied = 2 * PIECE_BYTES - 2 * 4096
    assert report == WriteReport(SIZE, copied, SIZE - copied, SIZE)
    assert running.read_bytes() == changed(CONTENT, 3, 500)[: 2 * PIECE_BYTES]


def test_a_source_that_breaks_off_is_asked_for_the_rest_alone(tmp_path: Path) -> None:
    source = MemoryImage(CONTENT)
    source.breaks_after = 2 * PIECE_BYTES
    with pytest.raises(FetchError, match="broke"):
        _write_once(tmp_path, source, is_indexed=True)
    again = MemoryImage(CONTENT)
    report = missing(tmp_path, again)
    assert report.fetched <= SIZE - PIECE_BYTES
    assert again.asked_bytes == report.fetched == report.written


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_short_read_is_noticed(tmp_path: Path, *, is_indexed: bool) -> None:
    source = MemoryImage(CONTENT)
    source.ends_after = PIECE_BYTES + 10_000
    with pytest.raises(FetchError, match="its source ended"):
        _write_once(tmp_path, source, is_indexed=is_indexed)


def test_a_wrong_block_is_never_written(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(OTHER)
    with pytest.raises(TrustError, match=r"block 300 of .* \(at 1228800\)"):
        _write_once(tmp_path, MemoryImage(changed(CONTENT, 300)), is_indexed=True)
    written = (tmp_path / "slot").read_bytes()
    for start in range(0, SIZE, 4096):
        block = written[start : start + 4096]
        assert block in (CONTENT[start : start + 4096], OTHER[start : start + 4096])
    assert written[300 * 4096 : 301 * 4096] == OTHER[300 * 4096 : 301 * 4096]


def test_a_wrong_image_without_an_index_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="what was fetched has"):
        _write_once(tmp_path, MemoryImage(changed(CONTENT, 3)), is_indexed=False)


def test_what_the_disk_has_is_what_is_judged(tmp_path: Path) -> None:
    with opened(tmp_path / "slot") as slot:
        write_whole(slot, MemoryImage(CONTENT), sha256=sha256(CONTENT), start=0, mark=no_mark)
        with (tmp_path / "slot").open("r+b") as file:
            file.seek(PIECE_BYTES + 9)
            file.write(b"rot")
        with pytest.raises(StoreError, match="read back from the disk"):
            read_back(slot, sha256(CONTENT))


def test_marks_are_told_after_a_sync_and_an_install_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_writer, "MARK_BYTES", PIECE_BYTES)
    disk = FailingDisk()
    monkeypatch.setattr(durable, "disk", disk)
    marks: list[tuple[int, int]] = []
    with opened(tmp_path / "slot") as slot:
        write_whole(
            slot, MemoryImage(CONTENT), sha256=sha256(CONTENT), start=0,
            mark=lambda at: marks.append((at, disk.changes.count("fsync"))),
        )  # fmt: skip
    # the first sync is that of the folder: the slot's file was made
    assert marks == [(PIECE_BYTES, 2), (2 * PIECE_BYTES, 3), (3 * PIECE_BYTES, 4)]
    (tmp_path / "slot").write_bytes(CONTENT[: 2 * PIECE_BYTES] + OTHER[2 * PIECE_BYTES :])
    source = MemoryImage(CONTENT)
    with opened(tmp_path / "slot") as slot:
        report = write_whole(
            slot, source, sha256=sha256(CONTENT), start=2 * PIECE_BYTES, mark=lambda at: None
        )
    assert source.asked == [Run(2 * PIECE_BYTES, SIZE - 2 * PIECE_BYTES)]
    assert report.written == SIZE - 2 * PIECE_BYTES
    assert (tmp_path / "slot").read_bytes() == CONTENT


def test_a_mark_over_a_prefix_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(OTHER)
    with opened(tmp_path / "slot") as slot, pytest.raises(StoreError, match="as it was marked"):
        write_whole(
            slot, MemoryImage(CONTENT), sha256=sha256(CONTENT), start=PIECE_BYTES, mark=no_mark
        )


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_full_disk_at_each_step_is_told_and_the_next_try_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_indexed: bool
) -> None:
    for step in range(1, 9):
        disk = FailingDisk(step, is_lasting=True)
        monkeypatch.setattr(durable, "disk", disk)
        with pytest.raises(StoreError, match="slot"):
            _write_once(tmp_path, MemoryImage(CONTENT), is_indexed=is_indexed)
        assert len(disk.changes) >= step
        monkeypatch.setattr(durable, "disk", FailingDisk())
        _write_once(tmp_path, MemoryImage(CONTENT), is_indexed=is_indexed)
        assert (tmp_path / "slot").read_bytes() == CONTENT
        (tmp_path / "slot").unlink()
        if disk.changes[-1] == "fsync" and len(disk.changes) == step:
            return
    raise AssertionError("expected the last step to be the sync")


def _write_once(folder: Path, source: MemoryImage, *, is_indexed: bool) -> None:
    with indexed(folder) as index, opened(folder / "slot") as slot:
        if is_indexed:
            write_missing(slot, source, index, None)
        else:
            write_whole(slot, source, sha256=sha256(CONTENT), start=0, mark=no_mark)


def test_many_scattered_blocks_are_asked_for_in_bounded_requests(tmp_path: Path) -> None:
    size = 2 * 4096 * 4096 + 4096 * 600  # every second block: more runs than a request takes
    zeros = bytes(size)
    (tmp_path / "slot").write_bytes(changed(zeros, *range(0, size // 4096, 2)))
    report = missing(tmp_path, MemoryImage(zeros), zeros)
    assert report.written == report.fetched == (size // 4096 + 1) // 2 * 4096


def test_a_slot_that_lost_its_end_is_not_the_image(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(CONTENT[:5000])
    with opened(tmp_path / "slot") as slot, pytest.raises(StoreError, match="ends after 5000"):
        read_back(slot, sha256(CONTENT[:5000]))
