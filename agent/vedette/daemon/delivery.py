"""Carries entries from the journal to the uplink: fetches, signs, hands over, marks.

Rule 1: the journal is the queue; nothing is kept here but one page of it.
Rule 2: what the outbox decides is done here, and nothing is decided here.
Rule 3: a message is signed when it is handed over, always to the same bytes: a double is exact.
Rule 4: no polling: it sleeps until something is appended, answered, or a named time has come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from vedette.codec import cloudevents, link, ocsf, report, strict_json, topics
from vedette.codec.envelope import Purpose, purposes_of, signed_bytes
from vedette.core.outbox import Condition, Outbox, Parcel, Verdict
from vedette.errors import ParseError
from vedette.model.event import Event
from vedette.model.journal import Entry, Spent
from vedette.model.message import Identity, Message, Outcome, SessionChanged
from vedette.ports.journal import Journal
from vedette.ports.signer import Signer
from vedette.ports.uplink import Uplink, UplinkListener

PAGE = 64
"""Entries fetched at once: two windows, so that the disk is asked once for each."""

SILENT_TIMEOUT_S = 120.0
"""A handed-over message must have an outcome by then: the uplink itself gives up earlier."""

STATE_EXPIRY_S = 86400
"""MQTT 5.0 3.3.2.3.3: a retained state that old says nothing about a device."""

SILENT: Final = "uplink-silent"
DEAF: Final = "uplink-deaf"

_FRAME_MARGIN_BYTES = 1024
_LARGEST_BYTES = link.MAX_FRAME_BYTES - _FRAME_MARGIN_BYTES
_CONTENT_TYPES = {"json": report.JSON, "msgpack": report.MSGPACK}


class Delivery:
    """Delivers a journal's outbox.

    Args:
        journal: open; its `outbox` and `mark_delivered` are used here alone.
        uplink: not yet open; opened and closed here.
        signer: the device's key.
        identity: whose messages these are.
        encoding: "json" or "msgpack", of what is published (the journal keeps JSON).
        budget_bytes_per_day: 0 means no limit.
        report: takes a condition and, for people, its detail when it begins and "" when it ends.
        clock: seconds that never jump, such as CLOCK_BOOTTIME.
        wall_clock: Unix time, for `time` of state and birth.
        on_events: takes the hints that come from the uplink.
        on_down: takes what was published for this device, unverified, and how much more was lost.
        told: conditions that an earlier process told and that have not ended, with their details.
    """

    def __init__(
        self,
        journal: Journal,
        uplink: Uplink,
        signer: Signer,
        identity: Identity,
        *,
        encoding: str,
        budget_bytes_per_day: int,
        report: Callable[[str, str], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        on_events: Callable[[tuple[Event, ...]], None],
        on_down: Callable[[bytes, int], None] = lambda _data, _lost: None,
        told: Mapping[str, str] | None = None,
    ) -> None:
        self._journal = journal
        self._uplink = uplink
        self._signer = signer
        self._identity = identity
        self._content_type = _CONTENT_TYPES[encoding]
        self._report = report
        self._clock = clock
        self._wall_clock = wall_clock
        self._on_events = on_events
        self._on_down = on_down
        found = journal.status()
        self._outbox = Outbox(found.delivered, budget_bytes_per_day, found.spent, told)
        self._marked, self._noted_bytes = found.delivered, found.spent.size_bytes
        self.budget_bytes_per_day = budget_bytes_per_day
        self._page: deque[Entry] = deque()
        self._state: Message | None = None
        self._is_state_due = False
        self._birth: Message | None = None
        self._work = asyncio.Event()
        self._moved = asyncio.Event()
        self._is_silent = False
        self._deaf = ""
        self._heard_s = 0.0
        self.sent = 0
        self.acknowledged = 0
        self.session = SessionChanged(
            is_up=False, reason="not connected yet", maximum_packet_bytes=0, receive_maximum=0
        )

    async def open(self, *, birth: bytes, will: bytes) -> None:
        """Open the uplink with bodies (canonical JSON) of birth and will.

        Raises:
            UplinkError: the uplink cannot be opened.
        """
        listener = UplinkListener(
            self._outcome, self._session_changed, self._on_events, self._on_down, self._hearing
        )
        self._birth = self._unqueued(topics.BIRTH, Purpose.BIRTH, birth)
        await self._uplink.open(
            listener, birth=self._birth, will=self._unqueued(topics.STATE, Purpose.WILL, will)
        )
        self._tell()

    async def run(self) -> None:
        """Deliver until cancelled; `open` comes before, `close` after."""
        while True:
            self._work.clear()
            self._wake()
            await self._deliver()
            await self._mark()
            self._tell()
            await self._sleep()

    async def close(self) -> None:
        """Close the uplink; what has no outcome stays in the journal as undelivered."""
        await self._uplink.close()
        await self._mark()

    def poke(self) -> None:
        """Something was appended to the journal."""
        self._work.set()

    def publish_state(self, body: bytes) -> None:
        """Publish a state, retained, in place of one that waits; again when a session begins.

        A broker may have lost what it retained.

        Args:
            body: canonical JSON that holds a counter of its own.
        """
        self._state = self._unqueued(topics.STATE, Purpose.STATE, body)
        self._is_state_due = True
        self._work.set()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all entries are delivered, at most so long; False if some are left.

        `run` must be running meanwhile.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._outbox.mark < self._journal.status().newest_sequence:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    @property
    def spent(self) -> Spent:
        """What was sent in the present day of the budget."""
        return self._outbox.spent(self._clock())

    @property
    def in_flight(self) -> int:
        """Entries handed over that the broker has not answered yet."""
        return self._outbox.in_flight

    @property
    def conditions(self) -> Mapping[str, str]:
        """What is wrong with the way out now, with a detail for people."""
        return self._outbox.conditions

    def _wake(self) -> None:
        """Tell the outbox the time, which may set it back to what was held."""
        now_s, before = self._clock(), self._outbox.cursor
        self._outbox.wake(now_s)
        if self._outbox.cursor < before:
            self._page.clear()
        if self._outbox.wants_state(now_s):
            self._is_state_due = self._state is not None

    async def _deliver(self) -> None:
        if not self._send_state():
            return
        while self._outbox.is_up:
            if not self._page:
                if not await self._turn_page():
                    return
            elif not self._hand_over(self._page[0]):
                return

    async def _turn_page(self) -> bool:
        """Fetch the next entries; False when there are none."""
        after = self._outbox.cursor
        entries = await self._journal.outbox(after, PAGE)
        if self._outbox.cursor == after:  # else it was set back while the disk was asked
            self._page.extend(entries)
            return bool(entries)
        return True

    def _hand_over(self, entry: Entry) -> bool:
        """Offer one entry; False when no other one should follow now."""
        message, parcel = self._packed(entry, is_reduced=False)
        verdict = self._outbox.offer(parcel)
        if verdict is Verdict.REDUCE:
            message, parcel = self._packed(entry, is_reduced=True)
            verdict = self._outbox.offer(parcel)
        if verdict is Verdict.STOP:
            return False
        if verdict is Verdict.SEND:
            if not self._uplink.send(self._signed(message)):
                return False
            if not self._outbox.in_flight:
                self._heard_s = self._clock()
            self._outbox.sent(parcel)
            self.sent += 1
        if self._page:  # a session that ended meanwhile emptied it
            self._page.popleft()
        return True

    def _send_state(self) -> bool:
        """Hand the newest state over; False when it has to wait and all others with it."""
        state = self._state
        if state is None or not self._is_state_due or not self._outbox.is_up:
            return True
        size_bytes = self._size_bytes(state)
        if size_bytes > self.session.maximum_packet_bytes:
            self._is_state_due = False
            self._report(Condition.TOO_LARGE, f"a state of {size_bytes} bytes does not pass")
            return True
        if not self._uplink.send(state):
            return False
        self._is_state_due = False
        self._outbox.spend(size_bytes)
        return True

    async def _mark(self) -> None:
        mark, spent = self._outbox.mark, self.spent
        if mark > self._marked or spent.size_bytes != self._noted_bytes:
            self._marked, self._noted_bytes = mark, spent.size_bytes
            await self._journal.mark_delivered(mark, spent)
            self._moved.set()

    async def _sleep(self) -> None:
        now_s = self._clock()
        due_s = self._outbox.next_due_s()
        if self._outbox.in_flight:
            silent_s = self._heard_s + SILENT_TIMEOUT_S
            if silent_s <= now_s:
                self._set_silent(is_silent=True)
                silent_s = now_s + SILENT_TIMEOUT_S
            due_s = silent_s if due_s is None else min(due_s, silent_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due_s is None else max(0.0, due_s - now_s)):
                await self._work.wait()

    def _outcome(self, outcome: Outcome) -> None:
        self.acknowledged += 1
        self._heard_s = self._clock()
        self._set_silent(is_silent=False)
        before = self._outbox.cursor
        self._outbox.settle(outcome, self._clock())
        if self._outbox.cursor < before:
            self._page.clear()
        self._work.set()

    def _session_changed(self, change: SessionChanged) -> None:
        largest = min(change.maximum_packet_bytes, _LARGEST_BYTES)
        self.session = change._replace(maximum_packet_bytes=largest)
        self._outbox.change_session(self.session)
        self._is_state_due = change.is_up and self._state is not None
        if change.is_up and self._birth is not None:  # the uplink publishes it by itself
            self._outbox.spend(self._size_bytes(self._birth))
        self._page.clear()
        self._work.set()

    def _set_silent(self, *, is_silent: bool) -> None:
        if is_silent != self._is_silent:
            self._is_silent = is_silent
            detail = f"the uplink process owes outcomes for {SILENT_TIMEOUT_S:g} s"
            self._report(SILENT, detail if is_silent else "")

    def _hearing(self, refusal: str) -> None:
        if refusal != self._deaf:
            self._deaf = refusal
            self._report(DEAF, refusal)

    def _tell(self) -> None:
        for notice in self._outbox.take_notices():
            self._report(notice.condition, notice.detail)

    def _packed(self, entry: Entry, *, is_reduced: bool) -> tuple[Message, Parcel]:
        message = self._message(entry, is_reduced=is_reduced)
        return message, Parcel(
            entry.sequence,
            entry.draft.topic,
            entry.draft.severity,
            self._size_bytes(message),
            is_reduced,
        )

    def _message(self, entry: Entry, *, is_reduced: bool) -> Message:
        draft = entry.draft
        body, content_type = self._body(draft.body, is_reduced=is_reduced)
        attributes = cloudevents.attributes(
            _purpose(draft.topic), self._identity.tenant, self._identity.device, entry.boot,
            entry.sequence, draft.wall_s, draft.incident_id, body,
        )  # fmt: skip
        return Message(
            entry.sequence, entry.boot, draft.topic, content_type, attributes, body, b"",
            retain=False, expiry_s=0,
        )  # fmt: skip

    def _body(self, recorded: bytes, *, is_reduced: bool) -> tuple[bytes, str]:
        if not is_reduced and self._content_type == report.JSON:
            return recorded, report.JSON
        try:
            document = strict_json.parse(recorded, max_bytes=len(recorded))
        except ParseError:
            document = {}  # only a damaged journal holds such: its digest is still worth sending
            is_reduced = True
        if is_reduced:
            document = ocsf.reduced(recorded, document if isinstance(document, dict) else {})
        return report.encode(document, self._content_type), self._content_type

    def _unqueued(self, suffix: str, purpose: Purpose, body: bytes) -> Message:
        identity = self._identity
        attributes = cloudevents.attributes(
            purpose,
            identity.tenant,
            identity.device,
            identity.boot,
            0,
            self._wall_clock(),
            "",
            body,
        )
        return self._signed(
            Message(
                0, identity.boot, suffix, report.JSON, attributes, body, b"",
                retain=True, expiry_s=0 if purpose is Purpose.BIRTH else STATE_EXPIRY_S,
            ),
            purpose,
        )  # fmt: skip

    def _signed(self, message: Message, purpose: Purpose | None = None) -> Message:
        identity = self._identity
        covered = signed_bytes(
            purpose or _purpose(message.suffix), identity.tenant, identity.device, message.boot,
            message.sequence, message.suffix, message.content_type, message.attributes,
            message.body,
        )  # fmt: skip
        return message._replace(signature=self._signer.sign(covered))

    def _size_bytes(self, message: Message) -> int:
        topic = topics.build(self._identity.tenant, self._identity.device, message.suffix)
        return cloudevents.packet_bytes(message, topic)


def _purpose(suffix: str) -> Purpose:
    purposes = purposes_of(suffix)
    if not purposes:
        raise RuntimeError(f"an entry has the unknown topic {suffix!a}: nobody can verify it")
    return purposes[0]
