"""Answers `vedette responses`, and says in `status` and `doctor` how defence stands.

do | with | ok
-- | ---- | --
responses.list | {limit: 1..1000} | {active: [RESPONSE], entries: [ENTRY]}: what is in force, and
               |   the newest entries about responses, newest first
responses.undo | {id} | {status, detail}: an id, or how it begins; with journal entries
responses.keep | {id, seconds: 0..2592000} | {}: it lasts for so long from now, 0 until undone

RESPONSE is the order as codec/response.py writes it, with "state" and "left_s" (0 until undone);
ENTRY is such an order with "phase" and what that phase says.
DEFENCE (in `status` and `doctor`) is {playbooks: {name, counter, digest, count, expires_s, reason},
mode, profile, enforcing: [name], active, responders: [{name, reason, undo}]}.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vedette.codec import strict_json
from vedette.codec.response import plain_order
from vedette.codec.strict_json import Json
from vedette.core.active_responses import Active
from vedette.core.inputs import Confirmed
from vedette.core.response_log import KIND
from vedette.daemon.control import Answer, Handler, Params, number, text
from vedette.daemon.shell import now
from vedette.errors import ParseError, RequestError
from vedette.model.playbook import LONGEST_S
from vedette.model.response import Mode

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts

BY = "control"
"""Who asks over the control socket: root on this device."""


class ResponseAnswers:
    """The handlers of `responses.*`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {
            "responses.list": self._list,
            "responses.undo": self._undo,
            "responses.keep": self._keep,
        }

    async def defence(self) -> dict[str, Json]:
        """How defence stands."""
        defence, defending = self._parts.agent.defence, self._parts.defending
        chosen, modes = defending.chosen, defence.modes
        known = modes.playbooks.playbooks if modes.playbooks is not None else ()
        return {
            "playbooks": {
                "name": chosen.content.name if chosen.content else "",
                "counter": chosen.content.counter if chosen.content else 0,
                "digest": chosen.digest,
                "count": len(known),
                "expires_s": chosen.content.expires_s if chosen.content else 0,
                "reason": chosen.refused or "; ".join(chosen.problems),
            },
            "mode": self._parts.config.response.mode,
            "profile": modes.profile.name if modes.profile is not None else "",
            "enforcing": [one.name for one in known if modes.decided(one) is Mode.ENFORCE],
            "active": len(defence.active),
            "responders": await self._responders(),
        }

    async def _responders(self) -> list[Json]:
        found = self._parts.defending.responding.responders
        rows: list[Json] = [
            {"name": name, "reason": reason, "undo": False}
            for name, reason in found.disabled.items()
        ]
        for name, responder in found.usable.items():
            reason = await asyncio.to_thread(responder.unavailable)
            rows.append({"name": name, "reason": reason, "undo": responder.has_undo})
        return rows

    async def _list(self, params: Params) -> Answer:
        limit = number(params, "limit", default=20, low=1, high=1000)
        at_s = now()[0]
        entries: list[Json] = []
        for entry in await self._parts.journal.entries(KIND, limit):
            try:
                body = strict_json.parse(entry.draft.body, max_bytes=len(entry.draft.body))
            except ParseError:
                body = None
            if isinstance(body, dict):
                entries.append({**body, "wall_s": entry.draft.wall_s})
        active = self._parts.agent.defence.active.values()
        return {"active": [_plain(one, at_s) for one in active], "entries": entries}

    async def _undo(self, params: Params) -> Answer:
        active = self._named(text(params, "id", most=64))
        responding = self._parts.defending.responding
        outcome = await responding.ask_undo(active.order.response_id, BY)
        return {"status": str(outcome.status), "detail": outcome.detail}

    async def _keep(self, params: Params) -> Answer:
        active = self._named(text(params, "id", most=64))
        seconds = number(params, "seconds", default=0, low=0, high=LONGEST_S)
        response_id = active.order.response_id
        self._parts.shell.tell(Confirmed(*now(), response_id, float(seconds), BY))
        return {}

    def _named(self, wanted: str) -> Active:
        active = self._parts.agent.defence.active.values()
        found = [one for one in active if wanted and one.order.response_id.startswith(wanted)]
        if len(found) != 1:
            many = "is in force" if not found else f"alone is meant: {len(found)} begin so"
            raise RequestError(f"no response {wanted} {many}; see: vedette responses list")
        return found[0]


def _plain(active: Active, at_s: float) -> dict[str, Json]:
    lasts = active.until_s != float("inf")
    left_s = round(max(0.001, active.until_s - at_s), 3) if lasts else 0
    return {**plain_order(active.order), "state": active.state, "left_s": left_s}
