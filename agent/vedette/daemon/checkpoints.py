"""Signs the journal from time to time under a key that is then erased, and sends what it signed.

Rule 1: a link is on the disk, and so in the outbox, before its key is erased; while the disk takes
nothing no key is used up.
Rule 2: whoever becomes root has the key of now. What was signed before he can neither change nor
sign again: core/chain.py is how a reader off the device notices that he tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vedette.codec import chain_link, strict_json
from vedette.codec.chain_link import Link
from vedette.errors import ParseError, StoreError
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft
from vedette.model.message import Identity
from vedette.ports.journal import Journal
from vedette.ports.signer import Signer
from vedette.store.cell import FileCell
from vedette.trust.evolving_key import FILE, EvolvingKey

EVOLVE_S: Final = 3600.0
"""What an attacker can rewrite at most: the part since the last link. Each costs about 20 KB of
writing to the flash."""
KIND: Final = "checkpoint"
TOPIC: Final = "up/evidence"


class Checkpoints:
    """Makes the links.

    Args:
        journal: what is signed, and where links go.
        identity: whose it is.
        signer: the device's key.
        folder: where the evolving key lies.
        baseline: the file baseline's digest, or "".
        report: takes what is wrong with the chain: condition and reason.
        added: told of each link that the disk took: it is to leave the device at once.
        wall: Unix time in seconds.
    """

    def __init__(
        self,
        journal: Journal,
        identity: Identity,
        signer: Signer,
        folder: Path,
        *,
        baseline: Callable[[], str],
        report: Callable[[str, str], None],
        added: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._journal, self._identity, self._signer = journal, identity, signer
        self._folder, self._baseline, self._report, self._wall = folder, baseline, report, wall
        self._added = added
        self._key: EvolvingKey | None = None
        self._last: Link | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Add a link now and every EVOLVE_S, until cancelled."""
        while True:
            await self.add()
            await asyncio.sleep(EVOLVE_S)

    async def add(self) -> bool:
        """Sign how far the journal is, and forget the key; whether that could be done."""
        try:
            await self._add()
        except StoreError as error:
            if str(error) != self._trouble:
                self._report("checkpoint-stuck", str(error))
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True

    async def _add(self) -> None:
        key = await self._opened()
        status = self._journal.status()
        if status.is_degraded:
            raise StoreError(f"the journal is kept in memory, and is not signed: {status.reason}")
        epoch, size = self._before()
        extent = await self._journal.extent(epoch, size)
        origin = origin_of(self._identity, extent.epoch)
        data = key.sign_link(
            origin, extent.size, extent.root, self._baseline(), self._identity.device, self._signer
        )
        body = chain_link.encode_body(data, extent.proof)
        draft = EntryDraft(
            KIND, Severity.HIGH, self._wall(), body, TOPIC, "", is_routine=False
        )  # high: a chain without one of its links proves less, so others are folded first
        await self._journal.append([draft])
        if self._journal.status().is_degraded:
            raise StoreError("the disk did not take the link of the checkpoints")
        self._last = chain_link.decode_note(data)[1]
        self._added()
        await asyncio.to_thread(key.evolve)

    async def _opened(self) -> EvolvingKey:
        if self._key is None:
            newest = await self._journal.entries(KIND, 1)
            self._last = _link_of(newest[0]) if newest else None
            least = self._last.number + 1 if self._last else 0
            self._key = await asyncio.to_thread(EvolvingKey, FileCell(self._folder / FILE), least)
            if self._key.problem:
                self._report("checkpoint-key-lost", self._key.problem)
        return self._key

    def _before(self) -> tuple[int, int]:
        """Epoch and size at the last link."""
        if self._last is None:
            return 0, 0
        epoch = self._last.checkpoint.origin.rpartition("/")[2]
        return int(epoch) if epoch.isascii() and epoch.isdigit() else 0, self._last.checkpoint.size


def origin_of(identity: Identity, epoch: int) -> str:
    """The origin of a checkpoint: device and epoch, since each epoch has a tree of its own."""
    return f"vedette/{identity.tenant}/{identity.device}/{epoch}"


def _link_of(entry: Entry) -> Link | None:
    body = entry.draft.body
    try:
        document = strict_json.parse(body, max_bytes=len(body))
        return chain_link.decode_note(chain_link.decode_body(document)[0])[1]
    except ParseError:
        return None  # folded or damaged: the key's own number decides
