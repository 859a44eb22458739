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

import hashlib
import os
import shutil
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from vedette.errors import VedetteError
from vedette.store.firmware import peek
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState
from vedette.trust.ed25519 import Ed25519Signer
from vedette_dev.device import ext4
from vedette_dev.images import environment
from vedette_dev.images.layout import ENVIRONMENT_BYTES, Layout, Partition

PIECE_BYTES = 1 << 22
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


class Verdict(NamedTuple):
    """What was found of one cut.

    Attributes:
        slot: that would be started; "" for none.
        is_mended: whether the initrd must mend the data partition before it can mount it.
        bricks: why no whole firmware would be started.
        lost: entries that had arrived and are not in the journal.
        problems: whatever else does not hold.
    """

    slot: str
    is_mended: bool = False
    bricks: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the cut left what it must."""
        return not (self.bricks or self.lost or self.problems)


class DiskUnderTest(Protocol):
    """A disk as a cut left it."""

    def read(self, offset: int, size: int) -> bytes:
        """What lies there."""
        ...

    def written(self, part: Partition) -> Hashable:
        """What was written to a partition; equal only where its content is."""
        ...


class Judge:
    """Judges what cuts left on one disk.

    Args:
        disk: changed between two judgements, never meanwhile.
        layout: of the disk.
        firmwares: what a slot may hold, by its SHA-256; cut to `image_bytes`.
        image_bytes: of a firmware.
        folder: for copies.
    """

    def __init__(
        self,
        disk: DiskUnderTest,
        *,
        layout: Layout,
        firmwares: Mapping[bytes, str],
        image_bytes: int,
        folder: Path,
    ) -> None:
        self._disk, self._layout = disk, layout
        self._firmwares, self._image_bytes = firmwares, image_bytes
        self._folder = folder
        self._digests: dict[Hashable, bytes] = {}

    def judge(self, promises: Sequence[Promise]) -> Verdict:
        """Judge the disk as it is now.

        Args:
            promises: what had arrived before the power went.

        Raises:
            DeviceError: a program that looks at it takes too long.
        """
        slot = self.starts()
        verdict = Verdict(slot, bricks=tuple(self._bricks(slot)))
        return self._judge_data(verdict, promises)

    def _bricks(self, slot: str) -> Iterator[str]:
        if not slot:
            yield "both copies of the environment are damaged"
        elif self._digest(slot) not in self._firmwares:
            yield f"slot {slot} is started and holds no whole firmware"

    def starts(self) -> str:
        """The slot that the boot script would start now; "" where it finds no environment."""
        for number in range(2):
            start = self._layout.environment_copy(number)
            values = environment.decode(self._disk.read(start, ENVIRONMENT_BYTES))
            if values is not None:
                is_tried = values.get("tslot") and values.get("tries") in {"1", "2", "3"}
                return values["tslot"] if is_tried else values.get("bslot", "a")
        return ""

    def _digest(self, slot: str) -> bytes:
        part = self._layout.slot(slot)
        key = (slot, self._disk.written(part))
        if key not in self._digests:
            self._digests[key] = self._hash(part)
        return self._digests[key]

    def _hash(self, part: Partition) -> bytes:
        digest, left, at = hashlib.sha256(), self._image_bytes, part.start_bytes
        while left:
            piece = self._disk.read(at, min(PIECE_BYTES, left))
            digest.update(piece)
            at, left = at + len(piece), left - len(piece)
        return digest.digest()

    def _judge_data(self, verdict: Verdict, promises: Sequence[Promise]) -> Verdict:
        folder = self._folder / "cut"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        image = folder / "data.img"
        self._copy(self._layout.data, image)
        verdict = verdict._replace(is_mended=not _is_replayed(image))
        problem = ext4.damage(image)
        if problem:
            return verdict._replace(problems=(f"the data partition: {problem}",))
        if not ext4.has(image, "/vedette"):
            lost = "there is no folder of the agent on the data partition"
            return verdict._replace(lost=(lost,))
        ext4.take(image, "/vedette", folder / "out")
        state = folder / "out/vedette"
        return verdict._replace(
            lost=tuple(_journal(state, promises)), problems=tuple(_floor(state, promises))
        )

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
    if ext4.replay(image):
        return True
    ext4.mend(image)  # where it cannot be, the next look says what is wrong with it
    return False


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
