"""What one run of the installer does: look, decide, apply; each step told before what it allows.

Rule 1: metadata first: nothing is asked of a release that a verified role did not sign.
Rule 2: of each name the newest release counts; one below the floor of its name is a replay.
Rule 3: who decides is elsewhere: whether it fits (core/fitness.py), whose turn it is
(core/rollout.py), how it was made (core/provenance.py), how it is applied (daemon/appliers/).
Rule 4: one release that fails keeps no other from being applied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vedette import __version__
from vedette.codec import release as release_codec
from vedette.codec.text import escape, shorten
from vedette.core import fitness, rollout
from vedette.core.fitness import Device
from vedette.core.rollout import Moment, Turn
from vedette.daemon.appliers import applier
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.installer.memory import MAX_REASON, Look, Memory
from vedette.daemon.installer.opening import Opened
from vedette.daemon.update_options import read_window
from vedette.errors import DeviceError, FetchError, ParseError, StoreError, VedetteError
from vedette.model.provenance import Verdict
from vedette.model.release import ROLES, Release, ReleaseKind, Window
from vedette.model.update import Cause, Step
from vedette.ports.release_source import ReleaseSource
from vedette.trust.tuf_client import RefusedError, VerifiedTarget

ORDER = (
    ReleaseKind.TRUST, ReleaseKind.POLICY, ReleaseKind.OPERATORS, ReleaseKind.ADVISORIES,
    ReleaseKind.RULES, ReleaseKind.PLAYBOOKS, ReleaseKind.MODEL, ReleaseKind.FIRMWARE,
)  # fmt: skip
"""What others are judged by comes first, what ends in a reboot last."""

MAX_FOREIGN = 8
"""Releases for other devices that are told of, where a repository holds nothing else."""

Judge = Callable[[Release, ReleaseSource], Verdict]
"""Whether how a release was made is good enough (daemon/installer/provenance.py)."""


class Wish(NamedTuple):
    """What this run is for.

    Attributes:
        is_look: look and decide, and apply nothing.
        is_urgent: a person asked: neither a rollout, nor a window, nor an earlier refusal counts.
        kinds: only these; empty: all that the configuration takes.
    """

    is_look: bool = False
    is_urgent: bool = False
    kinds: frozenset[ReleaseKind] = frozenset()


class Job:
    """One run.

    Args:
        context: of the appliers.
        opened: the trusted state.
        source: where everything comes from.
        memory: of earlier runs.
        judge: decides about provenance.
    """

    def __init__(
        self, context: Context, opened: Opened, source: ReleaseSource, memory: Memory, judge: Judge
    ) -> None:
        self._context, self._opened, self._source = context, opened, source
        self._memory, self._judge = memory, judge
        self._teller, self._config = context.teller, context.config
        self._has_seen_all = True

    def run(self, wish: Wish) -> bool:
        """Look, and apply what is due; whether all went as it should.

        Raises:
            StoreError: the disk did not take what has to be kept, or told.
        """
        is_well = self._look()
        if self._memory.look.result in {"fresh", "nothing new"}:
            for release in self._releases(wish):
                is_well = self._handle(release, wish) and is_well
        self._memory.save()
        return is_well and self._has_seen_all

    def _look(self) -> bool:
        now_s, before = int(time.time()), self._memory.look
        try:
            found = self._opened.trust.refresh()
        except RefusedError as error:
            self._teller.metadata(error.cause, str(error))
            self._memory.look = before._replace(at_s=now_s, result="refused", reason=_short(error))
            return False
        except FetchError as error:
            self._unreachable(now_s, before, error)
            return False
        result = "fresh" if found.is_new else "nothing new"
        self._memory.look = Look(now_s, result, "", found.expires_s)
        return True

    def _unreachable(self, now_s: int, before: Look, error: FetchError) -> None:
        """Nothing comes: no step of its own, until what is trusted goes stale by it."""
        trusted_s = self._opened.floors.now(now_s)
        is_stale = 0 < before.expires_s <= trusted_s
        if is_stale and before.result != "unreachable":
            words = f"nothing fresh could be fetched, and what is trusted has expired: {error}"
            self._teller.metadata(Cause.FREEZE, words)
        self._memory.look = before._replace(at_s=now_s, result="unreachable", reason=_short(error))

    def _releases(self, wish: Wish) -> Iterator[Release]:
        """The newest release of each name, in the order in which they are applied."""
        newest: dict[tuple[ReleaseKind, str], Release] = {}
        foreign: list[Release] = []
        for role in dict.fromkeys(ROLES[kind] for kind in ORDER):
            for release in filter(None, map(self._read, self._targets(role))):
                if not self._is_ours(release):
                    foreign.append(release)
                    continue
                key = release.kind, release.name
                if key not in newest or newest[key].counter < release.counter:
                    newest[key] = release
        if wish.is_urgent and not newest:
            self._refuse_foreign(foreign)
        kinds = wish.kinds or frozenset(ORDER)
        yield from sorted(
            (release for release in newest.values() if release.kind in kinds),
            key=lambda release: (ORDER.index(release.kind), release.name),
        )

    def _targets(self, role: str) -> Sequence[VerifiedTarget]:
        try:
            return self._opened.trust.targets(role)
        except RefusedError as error:
            self._teller.metadata(error.cause, str(error), role=role)
        except FetchError as error:
            self._memory.look = self._memory.look._replace(reason=_short(error))
        self._has_seen_all = False
        return ()

    def _read(self, target: VerifiedTarget) -> Release | None:
        if not release_codec.is_release(target.custom):
            return None
        try:
            return release_codec.decode(target.path, target.length, target.sha256, target.custom)
        except ParseError as error:
            self._teller.metadata(Cause.FORMAT, str(error), role=target.role)
            return None

    def _is_ours(self, release: Release) -> bool:
        """A repository serves devices of many kinds: what is for others is no news here."""
        return not release.hardware_ids or bool(
            set(release.hardware_ids) & set(self._config.updates.hardware)
        )

    def _refuse_foreign(self, releases: Sequence[Release]) -> None:
        """A person brought what is for other devices alone: that is no news from a repository."""
        for release in releases[:MAX_FOREIGN]:
            words = (
                f"expected one for this hardware ({', '.join(self._config.updates.hardware) or '-'}"
                f"), got one for {', '.join(release.hardware_ids)[:200]}"
            )
            self._refuse(release, Cause.HARDWARE, words)

    # one release

    def _handle(self, release: Release, wish: Wish) -> bool:
        floor = self._opened.floors.counter(release.kind, release.name)
        if release.counter <= floor:
            return release.counter == floor or self._replayed(release, floor)
        if self._memory.was_refused(release) and not wish.is_urgent:
            return True
        if self._memory.is_news(release, Step.OFFERED):
            self._teller.release(Step.OFFERED, release, reason=release.summary)
        if not self._is_due(release, wish) or wish.is_look:
            return True
        return self._try(release)

    def _try(self, release: Release) -> bool:
        try:
            verdict = self._judge(release, self._source)
            if not verdict.is_allowed:
                words = f"rule {verdict.rule} of the policy: {verdict.reason}"
                return self._refuse(release, Cause.PROVENANCE, words, _facts(verdict))
            words = "; ".join(dict.fromkeys((verdict.reason, *verdict.warnings)))
            if self._memory.is_news(release, Step.VERIFIED):
                self._teller.release(Step.VERIFIED, release, reason=words, facts=_facts(verdict))
            return self._apply(release)
        except RefusedError as error:
            return self._refuse(release, error.cause, str(error))
        except FetchError as error:
            return self._defer(release, Cause.FETCH, str(error))
        except StoreError:
            raise
        except DeviceError as error:
            return self._defer(release, Cause.DISK, f"this device cannot do it now: {error}")
        except VedetteError as error:
            return self._refuse(release, Cause.FORMAT, str(error))

    def _replayed(self, release: Release, floor: int) -> bool:
        words = f"expected counter {floor} or later, which this device has had"
        return self._refuse(release, Cause.OLDER, words)

    def _is_due(self, release: Release, wish: Wish) -> bool:
        if release.kind not in self._config.updates.kinds:
            return self._defer(
                release, Cause.SETTINGS, f"[updates] kinds leaves {release.kind} out"
            )
        misfit = fitness.misfit(release, self._device(release))
        if misfit is not None:
            return self._defer(release, misfit.cause, misfit.reason)
        decision = rollout.decide(release, self._moment())
        if decision.turn is Turn.DEFERRED and not wish.is_urgent:
            return self._defer(release, decision.cause, decision.reason)
        return True

    def _device(self, release: Release) -> Device:
        counter = self._opened.floors.counter
        hardware = [one for one in self._config.updates.hardware if one in release.hardware_ids]
        counters = {(need.kind, need.name): counter(need.kind, need.name) for need in release.needs}
        return Device(hardware[0] if hardware else "", __version__, counters)

    def _moment(self) -> Moment:
        device, local = self._config.device, time.localtime()
        windows = [Window(*read_window(text)) for text in self._config.updates.windows]
        now_s = self._opened.floors.now(time.time())
        return Moment(f"{device.tenant}/{device.id}", now_s, local.tm_gmtoff, windows)

    def _apply(self, release: Release) -> bool:
        found = applier.find(release.kind, self._context)
        if found is None:
            return self._defer(release, Cause.SETTINGS, f"this agent applies no {release.kind}")
        applied = found.apply(release, self._source)
        if applied is Applied.TAKEN:
            self._opened.floors.raise_counter(release.kind, release.name, release.counter)
        elif applied is Applied.REFUSED:
            self._memory.is_news(release, Step.REFUSED)  # told by its applier
        return applied is not Applied.REFUSED

    def _defer(self, release: Release, cause: Cause, reason: str) -> bool:
        if self._memory.is_news(release, Step.DEFERRED, cause):
            self._teller.release(Step.DEFERRED, release, cause=cause, reason=reason)
        return False

    def _refuse(
        self, release: Release, cause: Cause, reason: str, facts: Mapping[str, str] | None = None
    ) -> bool:
        if self._memory.is_news(release, Step.REFUSED, cause):
            self._teller.release(Step.REFUSED, release, cause=cause, reason=reason, facts=facts)
        return False


def _facts(verdict: Verdict) -> dict[str, str]:
    """Names as codec/update_report.py has them."""
    return {name.replace("-", "_"): text for name, text in verdict.facts.items()}


def _short(error: Exception) -> str:
    return shorten(escape(str(error)), MAX_REASON)
