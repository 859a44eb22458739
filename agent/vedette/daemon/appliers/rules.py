"""Applies a release of rules: fetched, tried against its own samples, handed to the sentinel.

Rule 1: the self-test runs in a process of its own (daemon/rules_worker.py), with the engine that
the sentinel runs, before the bundle lies where the sentinel would take it.
Rule 2: what happens after the sentinel took it (trial, commit, giving back) is the sentinel's to
decide and to tell (ADR 0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.codec.strict_json import Json
from vedette.daemon import rules_worker
from vedette.daemon.appliers import _offer, _staged
from vedette.daemon.appliers.applier import Applied, Context
from vedette.model.release import PartKind, Release, ReleaseKind
from vedette.model.update import Cause, Step
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable


class _Fetched(NamedTuple):
    bundle: Path
    samples: Path | None


class RulesApplier:
    """As daemon/appliers/applier.py promises."""

    def __init__(self, context: Context) -> None:
        self._config, self._teller = context.config, context.teller
        self._folder = context.staging / str(ReleaseKind.RULES)

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Apply a release."""
        fetched = self._fetch(release, source)
        self._teller.release(Step.FETCHED, release)
        try:
            is_good = self._try(release, fetched) and self._activate(release, fetched.bundle)
            return Applied.TAKEN if is_good else Applied.REFUSED
        finally:
            for path in fetched:
                if path is not None:
                    durable.remove(path)

    def _fetch(self, release: Release, source: ReleaseSource) -> _Fetched:
        samples = release.parts.get(PartKind.SAMPLES)
        kind, folder = release.kind, self._folder
        return _Fetched(
            _staged.fetch(source, release.target, kind, folder),
            _staged.fetch(source, samples, kind, folder) if samples is not None else None,
        )

    def _try(self, release: Release, fetched: _Fetched) -> bool:
        verdict = rules_worker.run(
            fetched.bundle, fetched.samples, self._config.updates.worker,
            device_class=self._config.device.class_,
        )  # fmt: skip
        facts = {"samples": str(verdict.samples), "took_ms": str(verdict.took_ms)}
        if verdict.reason:
            cause = Cause.LIMITS if verdict.is_limit else Cause.SAMPLES
            self._refuse(release, cause, verdict.reason, facts)
            return False
        words = "" if verdict.samples else "it brings no samples: nothing was tried"
        self._teller.release(Step.WRITTEN, release, reason=words, facts=facts)
        return True

    def _activate(self, release: Release, bundle: Path) -> bool:
        def why_not(status: dict[str, Json]) -> str:
            rules = status.get("rules")
            found = rules if isinstance(rules, dict) else {}
            if found.get("counter") == release.counter:
                return ""
            return str(found.get("reason") or "the agent did not take it and gave no reason")

        reason = _offer.offer(
            self._config.control_socket, Path(self._config.rules.bundle),
            _staged.content(bundle, MAX_ENVELOPE_BYTES), why_not,
        )  # fmt: skip
        if reason:
            self._refuse(release, Cause.SIGNATURE, f"the agent refused it: {reason}", {})
        return not reason

    def _refuse(self, release: Release, cause: Cause, reason: str, facts: dict[str, str]) -> None:
        self._teller.release(Step.REFUSED, release, cause=cause, reason=reason, facts=facts)


def applier(context: Context) -> RulesApplier:
    """The applier of this kind."""
    return RulesApplier(context)
