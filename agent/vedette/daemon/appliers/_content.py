"""Applies content that the sentinel takes over by a reload: playbooks, the trust document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.codec.strict_json import Json
from vedette.daemon.appliers import _offer, _staged
from vedette.daemon.appliers.applier import Applied, Context
from vedette.model.release import Release
from vedette.model.update import Cause, Step
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable

WhyNot = Callable[[Release, dict[str, Json]], str]
"""From the sentinel's status after the reload, why a release is not in use; "" if it is."""


class ContentApplier:
    """As daemon/appliers/applier.py promises.

    Args:
        context: what it works with.
        place: where the content is offered; "" where this device wants none.
        why_not: asks the sentinel's status.
    """

    def __init__(self, context: Context, place: str, why_not: WhyNot) -> None:
        self._context, self._place, self._why_not = context, place, why_not

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Apply a release."""
        teller, folder = self._context.teller, self._context.staging / str(release.kind)
        if not self._place:
            words = f"this device is configured to use no {release.kind}"
            teller.release(Step.REFUSED, release, cause=Cause.SETTINGS, reason=words)
            return Applied.REFUSED
        path = _staged.fetch(source, release.target, release.kind, folder)
        content = _staged.content(path, MAX_ENVELOPE_BYTES)
        durable.remove(path)
        if durable.read(Path(self._place), MAX_ENVELOPE_BYTES) == content:
            teller.release(Step.COMMITTED, release, reason="it was here already")
            return Applied.TAKEN
        teller.release(Step.WRITTEN, release)
        reason = _offer.offer(
            self._context.config.control_socket, Path(self._place), content,
            lambda status: self._why_not(release, status),
        )  # fmt: skip
        if reason:
            words = f"the agent refused it: {reason}"
            teller.release(Step.REFUSED, release, cause=Cause.SIGNATURE, reason=words)
            return Applied.REFUSED
        teller.release(Step.COMMITTED, release)
        return Applied.TAKEN
