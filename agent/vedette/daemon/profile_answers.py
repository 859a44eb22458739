"""Answers `vedette learn` and `vedette profile drift`.

do | with | ok
-- | ---- | --
learn.start | {seconds: 60..7776000, resume: bool, fresh: bool} | RUN
learn.stop | {early: bool} | RUN
learn.status | | RUN, or {state: "none"}
learn.show | | {run: RUN, draft: text}: the draft as it would be written
learn.write | | {run: RUN, draft: text}, with a journal entry
profile.drift | | {profile: PROFILE, things: [{kind, key: [text], count}], full}

RUN is {state, device, class, firmware, from, elapsed_s, wanted_s, starts, losses, written,
programs, pairs, listeners, peers, left_out: {kind: n}}; PROFILE is as `status` has it: {state:
"none"|"in force"|"stale", name, counter, digest, class, firmware, expires_s, expired, drift,
reason}.
"""

from __future__ import annotations

from typing import cast

from vedette.codec.strict_json import Json
from vedette.core.profile import MAX_DRIFT
from vedette.daemon.control import Answer, Handler, Params, number
from vedette.daemon.learning import DEFAULT_S, MAX_S, MIN_S
from vedette.daemon.profiles import Profiles
from vedette.errors import RequestError, StoreError
from vedette.model.profile import LearningRun


class ProfileAnswers:
    """The handlers of `learn.*` and `profile.*`."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {
            "learn.start": self._start,
            "learn.stop": self._stop,
            "learn.status": self._status,
            "learn.show": self._show,
            "learn.write": self._write,
            "profile.drift": self._drift,
        }

    def learning(self) -> dict[str, Json]:
        """The learning run, for `status` and `doctor`."""
        run = self._profiles.learning.run
        return {"state": "none"} if run is None else _plain(run)

    def profile(self) -> dict[str, Json]:
        """The profile, for `status` and `doctor`."""
        chosen = self._profiles.chosen
        profile = chosen.content
        reason = chosen.refused or "; ".join(chosen.problems)
        if profile is None:
            return {"state": "none", "reason": reason}
        if self._profiles.is_stale:
            reason = reason or f"learnt on {profile.firmware}, this is {self._profiles.firmware}"
        return {
            "state": "stale" if self._profiles.is_stale else "in force",
            "name": profile.name,
            "counter": profile.counter,
            "digest": profile.digest,
            "class": profile.device_class,
            "firmware": profile.firmware,
            "expires_s": profile.expires_s,
            "expired": chosen.is_stale,
            "drift": len(self._profiles.watch.drift),
            "reason": reason,
        }

    async def _start(self, params: Params) -> Answer:
        seconds = number(params, "seconds", default=DEFAULT_S, low=MIN_S, high=MAX_S)
        is_resumed, is_fresh = _flag(params, "resume"), _flag(params, "fresh")
        if is_resumed and is_fresh:
            raise RequestError("expected either --resume or --fresh, got both")
        try:
            run = await self._profiles.learning.start(
                seconds, is_resumed=is_resumed, is_fresh=is_fresh
            )
        except StoreError as error:
            raise RequestError(f"learning was not begun: {error}") from error
        return _plain(run)

    async def _stop(self, params: Params) -> Answer:
        return _plain(await self._profiles.learning.stop(is_early=_flag(params, "early")))

    async def _status(self, params: Params) -> Answer:
        del params
        return self.learning()

    async def _show(self, params: Params) -> Answer:
        del params
        run, draft = self._profiles.learning.draft()
        return {"run": _plain(run), "draft": draft.decode()}

    async def _write(self, params: Params) -> Answer:
        del params
        try:
            run, draft = await self._profiles.learning.write()
        except StoreError as error:
            raise RequestError(f"the run could not be kept, try again: {error}") from error
        return {"run": _plain(run), "draft": draft.decode()}

    async def _drift(self, params: Params) -> Answer:
        del params
        drift = self._profiles.watch.drift
        things: list[Json] = [
            {"kind": thing.kind, "key": cast("list[Json]", [*thing.key]), "count": count}
            for thing, count in drift.items()
        ]
        return {"profile": self.profile(), "things": things, "full": len(drift) >= MAX_DRIFT}


def _plain(run: LearningRun) -> dict[str, Json]:
    learnt = run.learnt
    return {
        "state": run.state,
        "device": run.device,
        "class": run.device_class,
        "firmware": run.firmware,
        "from": run.began_s,
        "elapsed_s": run.elapsed_s,
        "wanted_s": run.wanted_s,
        "starts": max(len(run.boots) - 1, 0),
        "losses": run.losses,
        "written": run.is_written,
        "programs": len(learnt.programs),
        "pairs": len(learnt.pairs),
        "listeners": len(learnt.listeners),
        "peers": len(learnt.peers),
        "left_out": {kind: count for kind, count in learnt.left_out._asdict().items() if count},
    }


def _flag(params: Params, name: str) -> bool:
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"{name}: expected true or false")
    return value
