"""Keeps good copies of small watched configuration files, as the baseline expects them.

Rule 1: the baseline decides what is good: a copy is taken only of content that has its digest,
after the first scan and after each acceptance. What an attacker wrote is never taken for good.
Rule 2: bounded: FILE_BYTES a file, TOTAL_BYTES and FILES_MAX in all, those of the first trees
first; what is beyond is counted and cannot be restored.
Rule 3: it blocks on the disk and belongs into a worker thread.
Rule 4: one record and one copy are in memory at a time: what a refresh takes, the process keeps.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from vedette.errors import ParseError, ResponseError, StoreError
from vedette.model.baseline import FileRecord, GoodCopy
from vedette.ports.baseline import Baseline
from vedette.responses._judged import opened
from vedette.responses._twin import attributes_of
from vedette.store.good_copies import FileGoodCopies, key_of

TREES: Final = ("/etc", "/var/spool/cron", "/usr/local/etc", "/root", "/home")
"""Where a device is configured, the most important first. Programs are replaced by an update, not
by us."""
FILE_BYTES: Final = 64 * 1024
TOTAL_BYTES: Final = 4 * 1024 * 1024
"""All of /etc is 1 to 3 MB on routers and cameras."""
FILES_MAX: Final = 2000
ATTRIBUTES_BYTES: Final = 64 * 1024


class Summary(NamedTuple):
    """What a refresh left: copies, of these new ones, and what it could not take.

    `beyond` the limits; `unlike` the baseline at this moment, or not to be read.
    """

    kept: int
    written: int
    beyond: int
    unlike: int


class GoodCopyKeeper:
    """Compares copies with the baseline and brings them up to date."""

    def __init__(
        self, baseline: Baseline, copies: FileGoodCopies, trees: Sequence[str] = TREES
    ) -> None:
        self._baseline = baseline
        self._copies = copies
        self._trees = trees

    def refresh(self) -> Summary:
        """Take what is missing, drop what is no longer expected.

        Raises:
            StoreError: the disk does not take them; those there are stay.
        """
        kept = written = beyond = unlike = total = 0
        wanted: set[bytes] = set()
        for record in self._candidates():
            key = key_of(record.path)
            if key in wanted:
                continue
            if len(wanted) >= FILES_MAX or total + record.size_bytes > TOTAL_BYTES:
                beyond += 1
                continue
            wanted.add(key)
            total += record.size_bytes
            if self._copies.find(record.path, record.digest) is not None:
                kept += 1
            elif (copy := _read(record)) is not None:
                self._copies.keep(copy)
                kept, written = kept + 1, written + 1
            else:
                unlike += 1
        # A copy of what was expected before is good for nothing.
        self._copies.retain(wanted)
        return Summary(kept, written, beyond, unlike)

    def _candidates(self) -> Iterator[FileRecord]:
        for tree in self._trees:
            for record in self._baseline.paths(tree):
                if record.kind == "file" and record.digest and record.size_bytes <= FILE_BYTES:
                    yield record


class Upkeep:
    """Refreshes in a thread, one at a time.

    Args:
        keeper: what is refreshed.
        on_problem: told why the disk takes no copies.
    """

    def __init__(self, keeper: GoodCopyKeeper, on_problem: Callable[[Sequence[str]], None]) -> None:
        self._keeper = keeper
        self._on_problem = on_problem
        self._running: asyncio.Future[Summary] | None = None
        self._is_asked_again = False

    def begin(self) -> None:
        """Refresh now, or once more after the one that is under way; returns at once."""
        if self._running is not None:
            self._is_asked_again = True
            return
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(None, self._keeper.refresh)
        self._running.add_done_callback(self._ended)

    def _ended(self, done: asyncio.Future[Summary]) -> None:
        self._running = None
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StoreError):
            self._on_problem([f"good copies of configuration files: {error}"])
        elif error is not None:
            raise error
        if self._is_asked_again and not done.cancelled():
            self._is_asked_again = False
            self.begin()


def _read(record: FileRecord) -> GoodCopy | None:
    """The file, if it is what the baseline expects at this moment."""
    try:
        record.path.encode()
        with opened(record.path) as found:
            content = os.pread(found.file, FILE_BYTES + 1, 0)
            attributes = attributes_of(found.file)
    except (OSError, ResponseError, ParseError, UnicodeEncodeError):
        return None
    is_right = (
        hashlib.sha256(content).hexdigest() == record.digest
        and sum(map(len, attributes.values())) <= ATTRIBUTES_BYTES
    )
    return GoodCopy(record.path, attributes, content) if is_right else None
