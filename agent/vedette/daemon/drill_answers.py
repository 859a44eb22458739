"""Answers `vedette drill`.

do | with | ok
-- | ---- | --
drill.run | | REPORT of a drill made now; takes up to half a minute
drill.show | {limit: 1..1000} | {drills: [ENTRY]}, newest first, as they were journalled

REPORT is {steps: [{step, class, tier, state, after_ms, rule}], responses: [{responder, ready,
detail}], took_ms, every_m}; state is "seen", "missed", "not played" (tier then says why), or
"optional" where nothing was expected and nothing came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.core.drills import CORRELATION, KIND
from vedette.daemon.control import Answer, Handler, Params, number
from vedette.daemon.drills import Drills, Report
from vedette.errors import ParseError
from vedette.model.journal import Entry

STEPS = (
    "process_creation", "kernel_activity", "file_event", "network_connection", "listener_opened",
    "service", "dns_query", CORRELATION,
)  # fmt: skip

Entries = Callable[[str, int], Awaitable[list[Entry]]]


class DrillAnswers:
    """The handlers of `drill.*`.

    Args:
        drills: plays them.
        entries: the newest entries of a kind.
        every_m: minutes between two, as configured.
    """

    def __init__(self, drills: Drills, entries: Entries, every_m: int) -> None:
        self._drills, self._entries, self._every_m = drills, entries, every_m

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {"drill.run": self._run, "drill.show": self._show}

    async def _run(self, params: Params) -> Answer:
        del params
        report = await self._drills.drill("control")
        steps: list[Json] = [_step(report, step) for step in STEPS]
        responses: list[Json] = [
            {"responder": one.responder, "ready": one.is_ready, "detail": one.detail}
            for one in report.responses
        ]
        took_ms = round(report.took_s * 1000)
        return {
            "steps": steps, "responses": responses, "took_ms": took_ms, "every_m": self._every_m
        }  # fmt: skip

    async def _show(self, params: Params) -> Answer:
        limit = number(params, "limit", default=24, low=1, high=1000)
        found: list[Json] = [_document(entry) for entry in await self._entries(KIND, limit)]
        return {"drills": found}


def _step(report: Report, step: str) -> Json:
    drill = report.drill
    seen, rule = drill.seen.get(step), drill.matched.get(step, "")
    if step == CORRELATION:
        state = "seen" if rule else "optional"
        return {"step": step, "tier": "", "state": state, "after_ms": 0, "rule": rule}
    if seen is not None:
        after_ms = round(seen.after_s * 1000)
        return {
            "step": step,
            "tier": seen.tier,
            "state": "seen",
            "after_ms": after_ms,
            "rule": rule,
        }
    if step in report.not_played:
        reason = report.not_played[step]
        return {"step": step, "tier": reason, "state": "not played", "after_ms": 0, "rule": ""}
    tier = drill.begun.expected.get(step, "")
    state = "missed" if step in report.missing else "optional"
    return {"step": step, "tier": tier, "state": state, "after_ms": 0, "rule": ""}


def _document(entry: Entry) -> Json:
    body = entry.draft.body
    try:
        found = strict_json.parse(body, max_bytes=len(body))
    except ParseError:
        return {"reason": "this entry is damaged"}
    return {"wall_s": entry.draft.wall_s, **found} if isinstance(found, dict) else {}
