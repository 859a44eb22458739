"""What leaves the device: the delivery, once the uplink is open, and what is to leave at once.

Rule: before it is open nothing is lost by it: the journal keeps what is to leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vedette.daemon import assembly, heartbeat
from vedette.daemon.delivery import Delivery
from vedette.daemon.own_reports import told_before
from vedette.daemon.shell import now
from vedette.errors import StoreError
from vedette.model.journal import Entry, EntryDraft
from vedette.uplink.link import LinkUplink

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts


class Outgoing:
    """Delivers.

    Args:
        parts: what is delivered is theirs, and what comes down is for them.

    Attributes:
        delivery: None until it is open.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.delivery: Delivery | None = None

    async def make(self) -> tuple[Delivery, LinkUplink]:
        """The delivery and the link it uses, not open yet; it knows what is told already."""
        parts = self._parts
        link = assembly.link_uplink(parts.config)
        self.delivery = Delivery(
            parts.journal,
            link,
            parts.signer,
            parts.identity,
            encoding=parts.config.uplink.encoding,
            budget_bytes_per_day=parts.config.uplink.budget_bytes_per_day,
            report=parts.own.uplink,
            clock=lambda: now()[0],
            wall_clock=lambda: now()[1],
            on_events=parts.shell.observe,
            on_down=parts.operators.hear,
            told=await told_before(parts.journal),
        )
        return self.delivery, link

    def birth(self) -> bytes:
        """What is said of the device when a session begins."""
        parts = self._parts
        return heartbeat.birth(parts.identity, parts.signer.public_key, parts.content.chosen.digest)

    async def record(self, draft: EntryDraft) -> Entry:
        """Record at once, past whatever waits; when this returns it is on the disk.

        Raises:
            StoreError: the journal is kept in memory, since the disk refuses it.
        """
        journal = self._parts.journal
        (entry,) = await journal.append([draft])
        self.poke()
        status = journal.status()
        if status.is_degraded:
            raise StoreError(f"the journal is kept in memory only: {status.reason}")
        return entry

    def poke(self) -> None:
        """Something was appended to the journal."""
        if self.delivery is not None:
            self.delivery.poke()

    def publish_state(self, body: bytes) -> None:
        """Publish a state; the next one says more than one that finds no delivery."""
        if self.delivery is not None:
            self.delivery.publish_state(body)

    def largest_bytes(self) -> int:
        """Of a packet that the broker takes now, 0 while nobody knows."""
        return self.delivery.session.maximum_packet_bytes if self.delivery is not None else 0
