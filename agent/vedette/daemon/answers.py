"""Answers what the control socket is asked; the shapes are in daemon/control.py.

Rule 1: an answer reads what is there; only `check`, `reload`, `baseline.accept`, `learn.start`,
`learn.stop`, `learn.write`, `responses.undo`, `responses.keep` and `update.tell` change something,
and all leave a journal entry.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from vedette import __version__
from vedette.codec import ocsf, strict_json
from vedette.codec.strict_json import Json
from vedette.daemon.baseline_answers import BaselineAnswers
from vedette.daemon.control import Answer, Handler, Params, Stream, number, text
from vedette.daemon.drill_answers import DrillAnswers
from vedette.daemon.essential_answers import essential
from vedette.daemon.feed import Feed
from vedette.daemon.ladder import Ladder
from vedette.daemon.profile_answers import ProfileAnswers
from vedette.daemon.response_answers import ResponseAnswers
from vedette.daemon.shell import now
from vedette.errors import ParseError, RequestError
from vedette.model.finding import Incident
from vedette.model.journal import Entry
from vedette.model.tier import TierReport

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts

UPDATE_REQUESTS = ("begin", "tell", "health", "history", "rollback")
FIRMWARE_REQUESTS = ("manifest", "probe")
MAX_SCANNED = 5000
"""Newest entries looked through for the incidents of a list."""


class Answers:
    """The handlers, over the parts of a sentinel."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._feed = Feed()
        self._baseline = BaselineAnswers(parts.baseline, lambda: parts.scanning.sensor, self._note)
        self._profiles = ProfileAnswers(parts.profiles)
        self._responses = ResponseAnswers(parts)
        self._drills = DrillAnswers(parts.drills, parts.journal.entries, parts.config.drill.every_m)

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {
            "status": self._status,
            "doctor": self._doctor,
            "check": self._check,
            "incidents.list": self._list,
            "incidents.show": self._show,
            "reload": self._reload,
            **self._baseline.handlers(),
            **self._profiles.handlers(),
            **self._responses.handlers(),
            **self._drills.handlers(),
            **{f"update.{name}": partial(self._update, name) for name in UPDATE_REQUESTS},
            **{f"update.{name}": partial(self._firmware, name) for name in FIRMWARE_REQUESTS},
        }

    def streams(self) -> dict[str, Stream]:
        """Answers without end, by the name of the request."""
        return {"incidents.follow": self._feed.follow}

    def recorded(self, incidents: Sequence[Incident]) -> None:
        """Hand recorded incidents to those who follow."""
        if not len(self._feed):
            return
        device = self._parts.config.device
        for incident in incidents:
            document = ocsf.detection_finding(incident, device.id, device.tenant)
            self._feed.publish({"incident": document})

    def headline(self) -> str:
        """One line on what watches each class."""
        reports = self._parts.sensing.ladder.reports()
        parts = (f"{r.event_class}: {r.tier.name if r.tier else 'nothing'}" for r in reports)
        return ", ".join(parts)

    async def _status(self, params: Params) -> Answer:
        del params
        parts = self._parts
        return {
            "version": __version__,
            "device": parts.config.device.id,
            "tenant": parts.config.device.tenant,
            "pid": os.getpid(),
            "uptime_s": round(now()[0] - parts.started_s, 1),
            "memory": _memory(),
            "tiers": self._tiers(),
            "ledger": self._ledger(),
            "journal": self._journal(),
            "uplink": self._uplink(),
            "rules": self._rules(),
            "profile": self._profiles.profile(),
            "learning": self._profiles.learning(),
            "defence": await self._responses.defence(),
            "essential": essential(self._parts.defending.essentials),
            "incidents_open": len(parts.agent.incidents),
        }

    async def _doctor(self, params: Params) -> Answer:
        del params
        return {
            "tiers": self._tiers(),
            "profile": self._profiles.profile(),
            "learning": self._profiles.learning(),
            "defence": await self._responses.defence(),
            "guard": {"lacks": self._guard_lacks()},
            "deny": self._deny(),
            "essential": essential(self._parts.defending.essentials),
        }

    def _guard_lacks(self) -> list[Json]:
        """What of ourselves nobody watches as it happens, and why."""
        guard = self._parts.watching.guard
        return list(guard.lacking) if guard is not None else []

    async def _check(self, params: Params) -> Answer:
        changes = await self._parts.checks.ask()
        changed: list[Json] = [
            {
                "class": str(change.event_class), "tier": change.tier,
                "previous": change.previous, "reason": change.reason,
            }
            for change in changes
        ]  # fmt: skip
        self._parts.shell.note("check", ocsf.canonical({"changed": changed}))
        return {"changed": changed, **await self._doctor(params)}

    async def _list(self, params: Params) -> Answer:
        limit = number(params, "limit", default=20, low=1, high=1000)
        newest: dict[str, Json] = {}
        for entry in await self._parts.journal.entries("incident", MAX_SCANNED):
            if entry.draft.incident_id not in newest:
                newest[entry.draft.incident_id] = _document(entry)
            if len(newest) >= limit:
                break
        return {"incidents": list(newest.values())}

    async def _show(self, params: Params) -> Answer:
        wanted = text(params, "id", most=64)
        entries = await self._parts.journal.entries("incident", MAX_SCANNED)
        found = [_document(e) for e in entries if e.draft.incident_id.startswith(wanted)]
        if not found:
            raise RequestError(f"there is no incident {wanted}; see: vedette incidents list")
        return {"reports": found[::-1]}

    async def _reload(self, params: Params) -> Answer:
        del params
        return {"changed": cast("list[Json]", list(await self._parts.reloading.reload()))}

    async def _update(self, name: str, params: Params) -> Answer:
        from vedette.daemon import update_answers  # noqa: PLC0415 (rare: not resident)

        device = update_answers.device_of(self._parts)
        return await update_answers.UpdateAnswers(device).answer(name, params)

    async def _firmware(self, name: str, params: Params) -> Answer:
        from vedette.daemon import firmware_answers  # noqa: PLC0415 (rare: not resident)

        del params
        return await firmware_answers.answer(self._parts, name)

    def _note(self, kind: str, body: bytes) -> None:
        """Record an acceptance; whatever was accepted changed the baseline."""
        self._parts.scanning.changed()
        self._parts.shell.note(kind, body)

    def _deny(self) -> Json:
        holder = self._parts.exec_holder
        return None if holder is None else holder.status()

    def _tiers(self) -> list[Json]:
        ladder = self._parts.sensing.ladder
        return [_tier(report, ladder) for report in ladder.reports()]

    def _ledger(self) -> list[Json]:
        rows: list[Json] = [
            {
                "stage": row.stage, "class": row.event_class, "in": row.taken_in,
                "out": row.given_out, "dropped": row.dropped, "losses": row.losses,
            }
            for row in self._parts.agent.ledger.rows()
        ]  # fmt: skip
        detection = self._parts.agent.detection
        if detection.engine is not None:
            counters = detection.engine.counters()
            rows.append(
                {
                    "stage": "engine", "class": "all", "in": counters["in"],
                    "out": counters["matches"], "dropped": 0, "losses": 0,
                    "counters": dict(counters),
                }
            )  # fmt: skip
        counters = detection.correlator.counters()
        rows.append(
            {
                "stage": "correlation", "class": "all", "in": counters["in"],
                "out": counters["met"], "dropped": counters["evicted"], "losses": 0,
                "counters": dict(counters),
            }
        )  # fmt: skip
        for name, sensor in self._parts.sensing.ladder.sensors():
            counters = sensor.counters()
            classes = "+".join(tier.event_class for tier in sensor.tiers)
            rows.append(
                {
                    "stage": name, "class": classes, "in": counters.get("in", 0),
                    "out": counters.get("out", 0), "dropped": counters.get("dropped", 0),
                    "losses": 0, "counters": dict(counters),
                }
            )  # fmt: skip
        return rows

    def _journal(self) -> dict[str, Json]:
        status = self._parts.journal.status()
        return {
            "epoch": status.epoch,
            "size": status.size,
            "root": status.root.hex(),
            "pending": status.pending,
            "bytes_used": status.bytes_used,
            "bytes_limit": status.bytes_limit,
            "dropped": status.dropped,
            "degraded": status.is_degraded,
            "reason": status.reason,
        }

    def _uplink(self) -> dict[str, Json]:
        delivery = self._parts.outgoing.delivery
        status = self._parts.journal.status()
        if not self._parts.config.uplink.enabled or delivery is None:
            state = "off"
        else:
            state = "up" if delivery.session.is_up else "down"
        return {
            "state": state,
            "reason": delivery.session.reason if delivery else "",
            "delivered": status.delivered,
            "newest": status.newest_sequence,
            "sent": delivery.sent if delivery else 0,
            "in_flight": delivery.in_flight if delivery else 0,
            "conditions": dict(delivery.conditions) if delivery else {},
            "spent_bytes": (delivery.spent if delivery else status.spent).size_bytes,
            "budget_bytes": delivery.budget_bytes_per_day if delivery else 0,
        }

    def _rules(self) -> dict[str, Json]:
        chosen = self._parts.content.chosen
        bundle = chosen.content
        engine = self._parts.agent.engine
        return {
            "bundle": bundle.name if bundle else "",
            "digest": bundle.digest if bundle else "",
            "counter": bundle.counter if bundle else 0,
            "rules": len(bundle.rules) if bundle else 0,
            "correlations": len(bundle.correlations) if bundle else 0,
            "muted": self._muted(),
            "excluded": dict(engine.excluded()) if engine is not None else {},
            "expires_s": bundle.expires_s if bundle else 0,
            "trial_left_s": self._trial_left_s(),
            "reason": chosen.refused or chosen.withdrawn or "; ".join(chosen.problems),
        }

    def _trial_left_s(self) -> float:
        trial = self._parts.agent.detection.trial
        return round(max(0.1, trial.ends_s - now()[0]), 1) if trial is not None else 0

    def _muted(self) -> list[Json]:
        """The rules that exceeded their budgets, and until when (CLOCK_BOOTTIME)."""
        return [
            {
                "rule": rule_id, "title": muted.rule.title, "reason": muted.reason,
                "until_s": muted.until_s, "held": muted.held,
            }
            for rule_id, muted in self._parts.agent.detection.budgets.muted.items()
        ]  # fmt: skip


def _tier(report: TierReport, ladder: Ladder) -> dict[str, Json]:
    tier = report.tier
    return {
        "class": str(report.event_class),
        "tier": tier.name if tier else "",
        "sees": tier.sees if tier else "",
        "misses": list(tier.misses) if tier else ["everything of this class"],
        "failures": [
            {
                "tier": name,
                "reason": reason,
                "lift": list(ladder.lift(name, report.event_class)),
            }
            for name, reason in report.failures
        ],
    }


def _document(entry: Entry) -> Json:
    try:
        return strict_json.parse(entry.draft.body, max_bytes=len(entry.draft.body))
    except ParseError:
        return {"message": "this entry is damaged", "unmapped": {"index": entry.index}}


def _memory() -> dict[str, Json]:
    sizes: dict[str, Json] = {}
    with open("/proc/self/smaps_rollup", encoding="ascii") as stream:  # noqa: PTH123 - one read
        for line in stream:
            name, _, rest = line.partition(":")
            if name in {"Rss", "Pss"}:
                sizes[f"{name.lower()}_kb"] = int(rest.split()[0])
    return sizes
