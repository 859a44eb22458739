"""Applies a release of the policy about releases: what how they were made has to satisfy.

It was verified as a target that the repository's root keys signed; from the next release on, this
one included, it decides (daemon/installer/provenance.py).
"""

from __future__ import annotations

from vedette.codec import dsse, release_policy
from vedette.daemon.appliers import _staged
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.installer.provenance import policy_file
from vedette.errors import ParseError
from vedette.model.release import Release
from vedette.model.update import Cause, Step
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable


class PolicyApplier:
    """As daemon/appliers/applier.py promises."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Apply a release."""
        teller, staging = self._context.teller, self._context.staging / str(release.kind)
        path = _staged.fetch(source, release.target, release.kind, staging)
        data = _staged.content(path, 2 * release_policy.MAX_BYTES)
        durable.remove(path)
        try:
            found = release_policy.decode(dsse.decode(data).payload)
        except ParseError as error:
            teller.release(Step.REFUSED, release, cause=Cause.FORMAT, reason=str(error))
            return Applied.REFUSED
        teller.release(Step.WRITTEN, release)
        durable.write(policy_file(self._context.config), data)
        teller.release(Step.COMMITTED, release, reason=f"{len(found.rules)} rules are in force")
        return Applied.TAKEN


def applier(context: Context) -> PolicyApplier:
    """The applier of this kind."""
    return PolicyApplier(context)
