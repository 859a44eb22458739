"""Judges what a power cut left of a device's disk, without starting it.

What must hold after any cut, as U-Boot, the kernel and the agent would find it at the next start:
- one copy of the boot loader's environment at least is whole, and it names a slot to start;
- that slot holds a firmware to the last byte: the one from before, or the new one;
- the data partition is a whole file system once its journal was replayed; where that is not
  possible, once the initrd has mended it, which is counted;
- the agent's journal opens without a new epoch, and holds everything that had arrived at the broker
  before the cut: what was published was on the disk first;
- the floor of the firmware is not below what had been told as committed.

Rule: nothing here asks the agent whether it is well; its stores are opened as its start opens them,
on copies.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vedette.errors import DeviceError, VedetteError
from vedette.store.firmware import peek
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState
from vedette.trust.ed25519 import Ed25519Signer
from vedette_dev.device import ext4
from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.cut_disk import Cut, CutDisk
from vedette_dev.images import environment
from vedette_dev.images.layout import ENVIRONMENT_BYTES, Layout, Partition

PIECE_BYTES = 1 << 22
FSCK_TIMEOUT_S = 120.0
JOURNAL = "journal"
"""Its folder below the state's (daemon/config.py)."""
_BOOT = "c" * 32
_NEWEST = 100_000


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that left the device, and so was on its disk before.

    Attributes:
        after: how many entries of the log there were when it arrived.
        word: text that its entry in the journal holds.
        floor: lowest counter of the firmware from then on, 0 where it says nothing of it.
    """

    after: int
    word: str
    floor: int = 0


@dataclass(slots=True)
class Verdicts:
    """What came of all cuts.

    Attributes:
        cuts: how many were judged.
        by_slot: how many would start which slot.
        mended: how many data partitions the initrd must mend before it can mount them.
        bricks: those that start no whole firmware.
        lost: entries that had arrived and are not in the journal.
        problems: whatever else does not hold, one line each.
    """

    cuts: int = 0
    by_slot: dict[str, int] = field(default_factory=dict)
    mended: int = 0
    bricks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every cut left what it must."""
        return not (self.bricks or self.lost or self.problems)


class Judge:
    """Judges cuts of one recording.

    Args:
        disk: the recorded disk, which goes through its log.
        log: of the recording.
        layout: of the disk.
        firmwares: SHA-256 of the firmwares that a slot may hold, by name; cut to `image_bytes`.
        image_bytes: of a firmware.
        promises: what had arrived, and when.
        folder: for copies.
    """

    def __init__(
        self,
        disk: CutDisk,
        log: BlockLog,
        *,
        layout: Layout,
        firmwares: Mapping[bytes, str],
        image_bytes: int,
        promises: Sequence[Promise],
        folder: Path,
    ) -> None:
        self._disk, self._log, self._layout = disk, log, layout
        self._firmwares, self._image_bytes = firmwares, image_bytes
        self._promises, self._folder = promises, folder
        self._digests: dict[tuple[object, ...], bytes] = {}

    def judge(self, cut: Cut, verdicts: Verdicts) -> None:
        """Judge one cut; cuts come in the order of the log."""
        with self._disk.cut(cut):
            verdicts.cuts += 1
            self._judge_start(cut, verdicts)
            self._judge_data(cut, verdicts)

    def _judge_start(self, cut: Cut, verdicts: Verdicts) -> None:
        slot = self.starts()
        verdicts.by_slot[slot] = verdicts.by_slot.get(slot, 0) + 1
        if not slot:
            verdicts.bricks.append(f"{cut}: both copies of the environment are damaged")
            return
        digest = self._digest(slot, cut)
        if digest not in self._firmwares:
            verdicts.bricks.append(f"{cut}: slot {slot} is started and holds no whole firmware")

    def starts(self) -> str:
        """The slot that the boot script would start now; "" where it finds no environment."""
        for number in range(2):
            start = self._layout.environment_copy(number)
            values = environment.decode(self._disk.read(start, ENVIRONMENT_BYTES))
            if values is not None:
                is_tried = values.get("tslot") and values.get("tries") in {"1", "2", "3"}
                return values["tslot"] if is_tried else values.get("bslot", "a")
        return ""

    def _digest(self, slot: str, cut: Cut) -> bytes:
        part = self._layout.slot(slot)
        safe = sum(1 for _ in self._touching(part, range(cut.after)))
        inside = tuple(self._touching(part, cut.kept))
        unsafe = tuple(self._touching(part, self._disk.forward(cut.after)))
        key = (slot, safe, unsafe, inside, cut.torn_at if inside else -1)
        if key not in self._digests:
            self._digests[key] = self._hash(part)
        return self._digests[key]

    def _touching(self, part: Partition, numbers: Iterable[int]) -> Iterable[int]:
        stop = part.start_bytes + part.size_bytes
        for number in numbers:
            entry = self._log.entries[number]
            if entry.offset < stop and entry.offset + entry.size > part.start_bytes:
                yield number

    def _hash(self, part: Partition) -> bytes:
        digest, left, at = hashlib.sha256(), self._image_bytes, part.start_bytes
        while left:
            piece = self._disk.read(at, min(PIECE_BYTES, left))
            digest.update(piece)
            at, left = at + len(piece), left - len(piece)
        return digest.digest()

    def _judge_data(self, cut: Cut, verdicts: Verdicts) -> None:
        folder = self._folder / "cut"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        image = folder / "data.img"
        self._copy(self._layout.data, image)
        verdicts.mended += not _is_replayed(image)
        problem = _checked(image)
        if problem:
            verdicts.problems.append(f"{cut}: the data partition: {problem}")
            return
        if not ext4.has(image, "/vedette"):
            verdicts.lost.append(f"{cut}: there is no folder of the agent on the data partition")
            return
        ext4.take(image, "/vedette", folder / "out")
        promises = [one for one in self._promises if one.after <= cut.after]
        for line in _journal(folder / "out/vedette", promises):
            verdicts.lost.append(f"{cut}: {line}")
        for line in _floor(folder / "out/vedette", promises):
            verdicts.problems.append(f"{cut}: {line}")

    def _copy(self, part: Partition, image: Path) -> None:
        with image.open("wb") as stream:
            for at in range(0, part.size_bytes, PIECE_BYTES):
                size = min(PIECE_BYTES, part.size_bytes - at)
                piece = self._disk.read(part.start_bytes + at, size)
                if piece.count(0) == len(piece):
                    stream.seek(size, os.SEEK_CUR)
                else:
                    stream.write(piece)
            stream.truncate(part.size_bytes)


def _is_replayed(image: Path) -> bool:
    """Replay the journal as a mount does; where that fails, mend as the initrd does."""
    try:
        ext4.replay(image)
    except DeviceError:
        with contextlib.suppress(DeviceError):  # the next look says what is wrong with it
            ext4.mend(image)
        return False
    return True


def _checked(image: Path) -> str:
    """Look whether anything is wrong with a file system; mends nothing."""
    path = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    found = subprocess.run(
        ["e2fsck", "-fn", str(image)],
        env=path, capture_output=True, text=True, check=False, timeout=FSCK_TIMEOUT_S,
    )  # fmt: skip
    return "" if not found.returncode else found.stdout[-600:]


def _journal(state: Path, promises: Sequence[Promise]) -> list[str]:
    """Which promised entries its journal does not hold, opened as a start opens it."""
    run = state.parent / "run"
    run.mkdir()
    key = Ed25519Signer(bytes(32))  # signs a frontier only where something is pruned: never here
    core = JournalCore(
        JournalPlace(state / JOURNAL, run, _BOOT),
        state=FileState(state),
        signer=key,
        wall=lambda: 0.0,
    )
    core.open(0.0)
    try:
        status = core.status()
        # Before anything was told, a journal that was cut while it was made may begin again.
        if promises and (core.reports or status.is_degraded):
            return [f"the journal: {core.reports or status.reason}"]
        text = b"\n".join(entry.draft.body for entry in core.entries("", _NEWEST))
    finally:
        core.close(0.0)
    return [
        f"what arrived is not in the journal: {one.word}"
        for one in promises
        if one.word.encode() not in text
    ]


def _floor(state: Path, promises: Sequence[Promise]) -> list[str]:
    """What is wrong with the record of the firmware."""
    expected = max((one.floor for one in promises), default=0)
    try:
        record = peek(state / "updates/firmware/state")
    except VedetteError as error:
        return [f"the record of the firmware: {error}"]
    running = record.running.counter if record is not None else 0
    if running < expected:
        return [f"the firmware was told as committed with counter {expected}, it is {running}"]
    return []
