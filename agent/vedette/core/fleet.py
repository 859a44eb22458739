"""What an operator may believe of what a broker hands out.

Rule 1: a device's key comes from the registry alone; what no registered key signed says nothing.
Rule 2: gaps and doubles are told per device: a sequence is never used twice on one.
Rule 3: liveness is judged by signed counters that grow, never by wills and retained messages: the
broker can replay those.
Rule 4: memory is bounded by the registry, not by what arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from vedette.codec import chain_link, cloudevents, receipt, report, topics, update_report
from vedette.codec.chain_link import Link
from vedette.codec.cloudevents import Received
from vedette.codec.envelope import Purpose, purposes_of, signed_bytes
from vedette.codec.registry import Registered
from vedette.codec.report import Report
from vedette.codec.strict_json import Json
from vedette.core.chain import Chain, Verdict
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.update import UpdateReport
from vedette.ports.signer import Verifier

SILENT_S = 2700.0
"""Three heartbeats of 15 minutes: one may be lost, two are an outage."""

REMEMBERED = 1024
"""Sequences kept per device to tell a double from one that comes late."""

REMEMBERED_INCIDENTS = 256
"""Of each device, the newest: what was last said of them."""

REMEMBERED_BOOTS = 16
"""Of each device, so that states of an earlier boot can't be played again for a new one."""


class Publication(NamedTuple):
    """One message as MQTT delivered it."""

    topic: str
    content_type: str
    properties: tuple[tuple[str, str], ...]
    body: bytes
    is_retained: bool


class Kind(StrEnum):
    """What a notice tells."""

    INCIDENT = "incident"
    ENDED = "ended"
    """An incident that is closed, and of which all was said before."""
    REPORT = "report"
    UPDATE = "update"
    """A step of an update."""
    RECEIPT = "receipt"
    """What became of an operator's command."""
    STATE = "state"
    BIRTH = "birth"
    WILL = "will"
    UNREADABLE = "unreadable"
    UNKNOWN_DEVICE = "unknown-device"
    BAD_SIGNATURE = "bad-signature"
    GAP = "gap"
    LATE = "late"
    DOUBLE = "double"
    REPLAYED = "replayed"
    SILENT = "silent"
    HEARD_AGAIN = "heard-again"
    MISSED = "missed"
    """Heartbeats that were made and did not arrive."""
    RESTARTED = "restarted"
    CHECKPOINT = "checkpoint"
    """A checkpoint that continues those before, signed by the key that they named."""
    CHAIN = "chain"
    """A checkpoint that does not."""


class Note(NamedTuple):
    """One line for the operator; `incident` is given for incidents whose signature is good.

    `update` and its severity are given for steps of updates.
    """

    kind: Kind
    tenant: str
    device: str
    sequence: int
    detail: str
    incident: Report | None
    update: UpdateReport | None = None
    severity: Severity = Severity.INFORMATIONAL


class _Progress(NamedTuple):
    """What only grows within a boot (uptime first: a restarted sentinel counts from 1 again)."""

    uptime_s: int
    counter: int
    newest_sequence: int


@dataclass(slots=True)
class _Known:
    device: Registered
    heard_s: float
    chain: Chain
    is_silent: bool = False
    highest: int = 0
    missing: set[int] = field(default_factory=set)
    newest_sequence: int = 0
    progress: dict[str, _Progress] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def learns(self, found: Report) -> bool:
        """Whether a report says more than that its incident has ended."""
        before = self.counts.pop(found.incident_id, 0)
        if found.status == "closed":
            return found.times > before
        self.counts[found.incident_id] = found.times
        while len(self.counts) > REMEMBERED_INCIDENTS:
            del self.counts[next(iter(self.counts))]
        return True

    def advance(self, boot: str, progress: _Progress) -> bool:
        """Whether a state is newer than all before; the outbox never goes back, over boots too."""
        before = self.progress.get(boot)
        is_new = (before is None or progress[:2] > before[:2]) and (
            progress.newest_sequence >= self.newest_sequence
        )
        if is_new:
            self.newest_sequence = progress.newest_sequence
            self.progress.pop(boot, None)
            self.progress[boot] = progress
            while len(self.progress) > REMEMBERED_BOOTS:
                del self.progress[next(iter(self.progress))]
        return is_new


class Fleet:
    """Verifies and follows the devices of a registry.

    Args:
        registry: who may speak.
        verifier: checks Ed25519 signatures.
        now_s: seconds of any clock that does not jump; silence is counted from here.
        links: where an earlier watch stood in the chains of checkpoints.
    """

    def __init__(
        self,
        registry: Mapping[tuple[str, str], Registered],
        verifier: Verifier,
        now_s: float,
        links: Mapping[tuple[str, str], Link] | None = None,
    ) -> None:
        self._verifier = verifier
        before = links or {}
        self._known = {
            key: _Known(device, now_s, Chain(*key, device.public_key, before.get(key)))
            for key, device in registry.items()
        }

    def links(self) -> dict[tuple[str, str], Link]:
        """The newest link of each device whose chain is followed."""
        return {
            key: known.chain.last
            for key, known in self._known.items()
            if known.chain.last is not None
        }

    def handle(self, publication: Publication, now_s: float) -> list[Note]:
        """Judge one message; what it says comes last, after what is wrong around it."""
        try:
            topic = topics.parse(publication.topic)
        except ParseError as error:
            return [Note(Kind.UNREADABLE, "", "", 0, str(error), None)]
        known = self._known.get((topic.tenant, topic.device))
        if known is None:
            detail = "not in the registry; enroll it, or find out who publishes in its name"
            return [Note(Kind.UNKNOWN_DEVICE, topic.tenant, topic.device, 0, detail, None)]
        try:
            received = cloudevents.parse_properties(publication.properties)
        except ParseError as error:
            return [self._note(known, Kind.UNREADABLE, 0, str(error))]
        wrong = self._distrust(known, topic.suffix, received, publication)
        if wrong:
            return [self._note(known, Kind.BAD_SIGNATURE, received.event_id.sequence, wrong)]
        return self._believe(known, received, publication, now_s)

    def tick(self, now_s: float) -> list[Note]:
        """Devices that have fallen silent since the last call."""
        notes: list[Note] = []
        for known in self._known.values():
            if not known.is_silent and now_s - known.heard_s >= SILENT_S:
                known.is_silent = True
                detail = f"no new signed message for {SILENT_S / 60:.0f} min"
                notes.append(self._note(known, Kind.SILENT, 0, detail))
        return notes

    def _distrust(
        self, known: _Known, suffix: str, received: Received, publication: Publication
    ) -> str:
        """Why the message is not the device's, or ""."""
        return why_not_genuine(known.device, suffix, received, publication, self._verifier)

    def _believe(
        self, known: _Known, received: Received, publication: Publication, now_s: float
    ) -> list[Note]:
        if received.event_id.sequence:
            return self._believe_entry(known, received, publication, now_s)
        return self._believe_state(known, received, publication, now_s)

    def _believe_entry(
        self, known: _Known, received: Received, publication: Publication, now_s: float
    ) -> list[Note]:
        sequence = received.event_id.sequence
        notes, is_new = self._follow(known, sequence)
        if not is_new:
            return notes
        notes += self._heard(known, now_s)
        if received.purpose is Purpose.RECEIPT:
            return [*notes, self._receipt(known, sequence, publication)]
        if received.purpose is Purpose.UPDATE:
            return [*notes, self._update(known, sequence, publication)]
        try:
            document = report.decode(publication.body, publication.content_type)
            if received.purpose is not Purpose.INCIDENT:
                return [*notes, self._evidence(known, received.purpose, sequence, document)]
            found = report.parse_report(document)
        except ParseError as error:
            return [*notes, self._note(known, Kind.UNREADABLE, sequence, str(error))]
        device = known.device
        kind = Kind.INCIDENT if known.learns(found) else Kind.ENDED
        incident = Note(kind, device.tenant, device.device, sequence, found.title, found)
        return [*notes, incident]

    def _receipt(self, known: _Known, sequence: int, publication: Publication) -> Note:
        try:
            found = receipt.parse(report.decode(publication.body, publication.content_type))
        except ParseError as error:
            return self._note(known, Kind.UNREADABLE, sequence, str(error))
        who = found.origin.removeprefix("operator:") or "nobody we know"
        detail = f"{found.verb or 'a command'} by {who}: {found.status}, {found.detail}"
        return self._note(known, Kind.RECEIPT, sequence, detail)

    def _update(self, known: _Known, sequence: int, publication: Publication) -> Note:
        try:
            document = report.decode(publication.body, publication.content_type)
            found, severity = update_report.parse_document(document)
        except ParseError as error:
            return self._note(known, Kind.UNREADABLE, sequence, str(error))
        detail = f"{found.title}: {found.step}"
        if found.cause or found.reason:
            detail += f", {': '.join(filter(None, (found.cause, found.reason)))}"
        note = self._note(known, Kind.UPDATE, sequence, detail)
        return note._replace(update=found, severity=severity)

    def _evidence(self, known: _Known, purpose: Purpose, sequence: int, document: Json) -> Note:
        if purpose is not Purpose.CHECKPOINT or not chain_link.is_link(document):
            return self._note(known, Kind.REPORT, sequence, str(purpose))
        verdict, detail = known.chain.take(document, self._verifier)
        is_good = verdict in {Verdict.HOLDS, Verdict.BEGUN, Verdict.KNOWN}
        kind = Kind.CHECKPOINT if is_good else Kind.CHAIN
        return self._note(known, kind, sequence, detail)

    def _follow(self, known: _Known, sequence: int) -> tuple[list[Note], bool]:
        """Compare a sequence with those seen; whether it is new."""
        if known.highest == 0 or sequence == known.highest + 1:
            known.highest = sequence
            return [], True
        if sequence > known.highest:
            first, last = known.highest + 1, sequence - 1
            known.missing.update(range(max(first, last - REMEMBERED + 1), last + 1))
            for forgotten in sorted(known.missing)[:-REMEMBERED]:
                known.missing.remove(forgotten)
            known.highest = sequence
            detail = f"{last - first + 1} missing: {first} to {last}"
            return [self._note(known, Kind.GAP, sequence, detail)], True
        if sequence in known.missing:
            known.missing.remove(sequence)
            detail = "one that was missing came late"
            return [self._note(known, Kind.LATE, sequence, detail)], True
        detail = "seen before, or from before this watch began: delivered again"
        return [self._note(known, Kind.DOUBLE, sequence, detail)], False

    def _believe_state(
        self, known: _Known, received: Received, publication: Publication, now_s: float
    ) -> list[Note]:
        if received.purpose is Purpose.WILL:
            detail = "the broker says that it is gone; only silence proves it"
            return [self._note(known, Kind.WILL, 0, detail)]
        if received.purpose is Purpose.BIRTH:
            detail = "connected; the same at each connect, and so no proof of life"
            return [self._note(known, Kind.BIRTH, 0, detail)]
        progress = _progress(publication.body)
        boot = received.event_id.boot
        before = known.progress.get(boot)
        is_new = known.advance(boot, progress)
        detail = f"counter {progress.counter}, up {progress.uptime_s} s"
        if publication.is_retained:
            return [self._note(known, Kind.STATE, 0, f"{detail}; kept by the broker")]
        if not is_new:
            return [self._note(known, Kind.REPLAYED, 0, f"{detail}: that is not new")]
        notes = self._heard(known, now_s)
        if before is not None and (gap := self._gap(known, before, progress)) is not None:
            notes.append(gap)
        return [*notes, self._note(known, Kind.STATE, 0, detail)]

    def _gap(self, known: _Known, before: _Progress, now: _Progress) -> Note | None:
        """What two heartbeats of one boot say about the time between them."""
        if now.counter <= before.counter:
            lasted_s = now.uptime_s - before.uptime_s
            detail = f"its agent began anew within the last {lasted_s} s, and the device did not"
            return self._note(known, Kind.RESTARTED, 0, detail)
        if missed := now.counter - before.counter - 1:
            detail = f"{missed} heartbeats missing: {before.counter + 1} to {now.counter - 1}"
            return self._note(known, Kind.MISSED, 0, detail)
        return None

    def _heard(self, known: _Known, now_s: float) -> list[Note]:
        known.heard_s = now_s
        if not known.is_silent:
            return []
        known.is_silent = False
        return [self._note(known, Kind.HEARD_AGAIN, 0, "speaks again")]

    def _note(self, known: _Known, kind: Kind, sequence: int, detail: str) -> Note:
        return Note(kind, known.device.tenant, known.device.device, sequence, detail, None)


def why_not_genuine(
    device: Registered,
    suffix: str,
    received: Received,
    publication: Publication,
    verifier: Verifier,
) -> str:
    """Why a publication is not this device's, or "" when its registered key signed it.

    Args:
        device: whose topic it came under.
        suffix: of that topic, such as "up/finding".
        received: its user properties, taken apart.
    """
    event_id = received.event_id
    if event_id.device != device.device:
        return f"signed as another device: {event_id.device}"
    if received.purpose not in purposes_of(suffix):
        return f"a {received.purpose} does not belong under {suffix}"
    message = signed_bytes(
        received.purpose, device.tenant, device.device, event_id.boot, event_id.sequence,
        suffix, publication.content_type, received.attributes, publication.body,
    )  # fmt: skip
    if not verifier.verify(device.public_key, received.signature, message):
        return "the registered key did not sign this"
    return ""


def _progress(body: bytes) -> _Progress:
    try:
        document = report.decode(body, report.JSON)
    except ParseError:
        document = None
    found = document if isinstance(document, dict) else {}
    return _Progress(*(_number(found.get(name)) for name in _Progress._fields))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
