"""Answers the installer, and `vedette update`: what became of a release, and how the device is.

do | with | ok
-- | ---- | --
update.begin | {pids: [pid], by} | {}: these processes are an update's and write below our folders
update.tell | {step: STEP} | {epoch, index, is_new}: the step is in the journal on the disk, and on
            |  its way to the fleet; an incident where core/updates.py says so
update.health | {since: MARK} or {} | {well, reasons: [text], mark: MARK, sensors: [{class, tier}],
              | rules: {digest, counter}, uplink: {state, reason}, critical: [{id, title}]}
update.rollback | {by, reason} | {digest, counter} of the rules that are in use again
update.history | {limit: 1..1000} | {steps: [DOCUMENT]}, newest first, as they were journalled

STEP is as codec/update_report.py writes it. MARK is {epoch, index}, a place in the journal: what is
"new since" comes after it; without one, everything of this boot is new.

Rule 1: a step is on the disk when its answer comes; where it cannot be, the request is refused, and
nothing that waited for it may be done.
Rule 2: a step that is told again (its answer was lost) is recorded once.
Rule 3: "well" is what a trial is committed by: every class of events that a source watched before
still has one, rules are loaded, the broker is reached or was out of reach before this boot too, and
no critical incident began since.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vedette.codec import strict_json, update_report
from vedette.codec.ocsf import canonical
from vedette.codec.strict_json import Json
from vedette.core import updates
from vedette.core.inputs import Input, UpdateAnnounced
from vedette.core.outbox import Condition
from vedette.daemon import update_pids
from vedette.daemon.control import Answer, Params, number, text
from vedette.daemon.own_reports import told_before
from vedette.daemon.rules_trials import TrialStep
from vedette.daemon.shell import now
from vedette.errors import ParseError, RequestError, StoreError, TrustError
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft
from vedette.model.message import Identity
from vedette.model.release import ReleaseKind
from vedette.model.tier import TierReport
from vedette.model.update import Cause, Step, UpdateReport
from vedette.ports.journal import Journal

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts

REMEMBERED = 64
"""Newest steps that are looked at for one that was told before."""
MAX_SCANNED = 2000
"""Newest incidents that are looked at for critical ones."""
MAX_NAMED = 16
MAX_PIDS = 8


class Way(NamedTuple):
    """How the way out is; `is_up` says nothing where none is wanted."""

    is_wanted: bool
    is_up: bool
    reason: str


class Device(NamedTuple):
    """What the answers have to know of the sentinel.

    Attributes:
        identity: whose journal it is.
        journal: is read.
        record: records at once; raises StoreError where the disk refuses.
        report: takes a finding about the agent itself (daemon/shell.py: Shell.report).
        tell: gives the core an input.
        tiers: what watches each class of events now.
        rules: digest and counter of those in use; "" and 0 for none.
        way: how the way out is now.
        give_back: uses the rules again that were in use before, for somebody and a reason; raises
            TrustError where there are none.
    """

    identity: Identity
    journal: Journal
    record: Callable[[EntryDraft], Awaitable[Entry]]
    report: Callable[..., None]
    tell: Callable[[Input], None]
    tiers: Callable[[], Sequence[TierReport]]
    rules: Callable[[], tuple[str, int]]
    way: Callable[[], Way]
    give_back: Callable[[str, str], Awaitable[None]]


def device_of(parts: Parts) -> Device:
    """The parts of a running sentinel."""

    def rules() -> tuple[str, int]:
        bundle = parts.content.chosen.content
        return (bundle.digest, bundle.counter) if bundle is not None else ("", 0)

    def way() -> Way:
        delivery, is_wanted = parts.outgoing.delivery, parts.config.uplink.enabled
        if delivery is None or not is_wanted:
            return Way(is_wanted=False, is_up=False, reason="")
        return Way(is_wanted=True, is_up=delivery.session.is_up, reason=delivery.session.reason)

    return Device(
        parts.identity, parts.journal, parts.outgoing.record, parts.shell.report,
        parts.shell.tell, parts.sensing.ladder.reports, rules, way, parts.content.trials.give_back,
    )  # fmt: skip


class UpdateAnswers:
    """The handlers of `update.*`."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def answer(self, name: str, params: Params) -> Answer:
        """Answer `update.NAME`."""
        answers = {
            "begin": self._begin, "tell": self._tell, "health": self._health,
            "history": self._history, "rollback": self._rollback,
        }  # fmt: skip
        return await answers[name](params)

    async def _begin(self, params: Params) -> Answer:
        by, pids = text(params, "by", most=200), params.get("pids")
        if not isinstance(pids, list) or not 0 < len(pids) <= MAX_PIDS:
            raise RequestError(f"pids: expected a list of 1 to {MAX_PIDS} numbers")
        found = [pid for pid in pids if type(pid) is int and pid > 1]
        body = canonical({"by": by, "pids": found})
        await self._device.record(
            EntryDraft("update-begun", Severity.LOW, now()[1], body, "", "", is_routine=True)
        )
        update_pids.announce(found)
        self._device.tell(UpdateAnnounced(*now(), tuple(found)))
        return {}

    async def _tell(self, params: Params) -> Answer:
        try:
            report = update_report.parse(params.get("step"))
        except ParseError as error:
            raise RequestError(f"step: {error}") from error
        known = await self._told(report.step_id)
        if known is not None:
            return {"epoch": known.epoch, "index": known.index, "is_new": False}
        entry = await self._record(report)
        return {"epoch": entry.epoch, "index": entry.index, "is_new": True}

    async def tell_trial(self, step: TrialStep) -> None:
        """Record a step that the sentinel itself took; a journal in memory holds it as well."""
        report = UpdateReport(
            os.urandom(8).hex(), Step(step.step), ReleaseKind.RULES, step.name, "", step.counter,
            "", Cause(step.cause), step.reason, step.by, int(now()[1]), {"bundle": step.digest},
        )  # fmt: skip
        with contextlib.suppress(RequestError):
            await self._record(report)

    async def _record(self, report: UpdateReport) -> Entry:
        identity, judgement = self._device.identity, updates.judge(report)
        if judgement.condition:
            self._device.report(
                judgement.condition, judgement.title, judgement.severity, updates.fields(report),
                tags=judgement.tags,
            )  # fmt: skip
        draft = updates.draft(
            report, judgement, device=identity.device, tenant=identity.tenant, wall_s=now()[1]
        )
        try:
            return await self._device.record(draft)
        except StoreError as error:
            raise RequestError(
                f"{report.step} of {report.title} is not recorded: {error}"
            ) from error

    async def _told(self, step_id: str) -> Entry | None:
        wanted = f'"step_id":"{step_id}"'.encode()
        for entry in await self._device.journal.entries(updates.KIND, REMEMBERED):
            if wanted in entry.draft.body:
                return entry
        return None

    async def _health(self, params: Params) -> Answer:
        mark = _mark(params.get("since"))
        sensors = self._sensors()
        critical = await self._critical(mark)
        uplink, unreached = await self._uplink()
        digest, counter = self._device.rules()
        reasons = [
            *await self._blind(mark, sensors),
            *([] if digest else ["no rules are loaded"]),
            *([unreached] if unreached else []),
            *(f"critical incident {row['id']}: {row['title']}" for row in critical),
        ]
        status = self._device.journal.status()
        return {
            "well": not reasons,
            "reasons": [*reasons],
            "mark": {"epoch": status.epoch, "index": status.size},
            "sensors": [*sensors],
            "rules": {"digest": digest, "counter": counter},
            "uplink": uplink,
            "critical": [*critical],
        }

    def _sensors(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = []
        for report in self._device.tiers():
            tier = report.tier.name if report.tier is not None else ""
            found.append({"class": str(report.event_class), "tier": tier})
        return found

    async def _blind(
        self, mark: tuple[int, int] | None, sensors: Sequence[Mapping[str, Json]]
    ) -> list[str]:
        """Classes that something watched before; one that never had a source is no news."""
        watched: dict[str, str] = {}
        for entry in await self._device.journal.entries("tier", MAX_SCANNED):
            if not self._is_after(entry, mark):
                body = _document(entry)
                found = body if isinstance(body, dict) else {}
                watched.setdefault(str(found.get("class")), str(found.get("tier", "")))
        return [
            f"nothing watches {row['class']} events, {watched[str(row['class'])]} did before"
            for row in sensors
            if not row["tier"] and watched.get(str(row["class"]))
        ]

    def _is_after(self, entry: Entry, mark: tuple[int, int] | None) -> bool:
        if mark is None:
            return entry.boot == self._device.identity.boot
        return (entry.epoch, entry.index) >= mark

    async def _critical(self, mark: tuple[int, int] | None) -> list[dict[str, Json]]:
        found: dict[str, dict[str, Json]] = {}
        for entry in await self._device.journal.entries("incident", MAX_SCANNED):
            if not self._is_after(entry, mark):
                break
            if entry.draft.severity is Severity.CRITICAL:
                title = _title(entry)
                found[entry.draft.incident_id] = {"id": entry.draft.incident_id, "title": title}
        return list(found.values())[:MAX_NAMED]

    async def _uplink(self) -> tuple[dict[str, Json], str]:
        """How the way out is, and why that is not well, "" where it is, or is explained."""
        is_wanted, is_up, reason = self._device.way()
        if not is_wanted or is_up:
            return {"state": "up" if is_up else "off", "reason": ""}, ""
        if await self._was_cut_off():
            return {"state": "explained", "reason": f"as before this boot: {reason}"}, ""
        return {"state": "down", "reason": reason}, f"the broker is not reached: {reason}"

    async def _was_cut_off(self) -> bool:
        """Whether the firmware before did not reach the broker either, and said so."""
        told = await told_before(self._device.journal, not_of_boot=self._device.identity.boot)
        return Condition.OFFLINE in told

    async def _rollback(self, params: Params) -> Answer:
        by, reason = text(params, "by", most=200), text(params, "reason", most=1000)
        try:
            await self._device.give_back(by, reason)
        except (TrustError, StoreError) as error:
            raise RequestError(str(error)) from error
        digest, counter = self._device.rules()
        return {"digest": digest, "counter": counter}

    async def _history(self, params: Params) -> Answer:
        limit = number(params, "limit", default=20, low=1, high=1000)
        entries = await self._device.journal.entries(updates.KIND, limit)
        return {"steps": [_document(entry) for entry in entries]}


def _mark(value: Json) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() == {"epoch", "index"}:
        epoch, index = value["epoch"], value["index"]
        if type(epoch) is int and type(index) is int:
            return epoch, index
    raise RequestError('since: expected {"epoch": number, "index": number}')


def _document(entry: Entry) -> Json:
    body = entry.draft.body
    try:
        return strict_json.parse(body, max_bytes=len(body))
    except ParseError:
        return {"message": "this entry is damaged", "unmapped": {"index": entry.index}}


def _title(entry: Entry) -> str:
    document = _document(entry)
    found = document.get("message") if isinstance(document, dict) else ""
    return found if isinstance(found, str) else ""
