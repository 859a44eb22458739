"""The sentinel's heart: at each period a state that says how it stands, under a counter that grows.

Rule: what it says is signed where it is published (daemon/delivery.py), by the sentinel alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vedette.daemon import heartbeat
from vedette.daemon.shell import now
from vedette.model.message import Identity
from vedette.model.tier import TierReport
from vedette.ports.baseline import Baseline
from vedette.ports.journal import Journal
from vedette.ports.signer import Signer


class Vitals(NamedTuple):
    """What a state says of the rest of the sentinel, each asked for when it is made.

    Attributes:
        reports: where each class of events stands.
        rules, profile: digests of what is in force, "" for nothing.
        incidents_open: how many.
        is_scanning: whether the baseline is being read and written.
        publish: takes the state.
    """

    reports: Callable[[], Sequence[TierReport]]
    rules: Callable[[], str]
    profile: Callable[[], str]
    incidents_open: Callable[[], int]
    is_scanning: Callable[[], bool]
    publish: Callable[[bytes], None]


class Heart:
    """Makes states.

    Args:
        identity: whose.
        signer: signs the checkpoint that each state holds.
        journal, baseline: what that checkpoint is over.
        vitals: the rest.

    Attributes:
        baseline_digest: of the baseline as it was at the last beat, "" while nobody knows.
    """

    def __init__(
        self,
        identity: Identity,
        signer: Signer,
        journal: Journal,
        baseline: Baseline,
        vitals: Vitals,
    ) -> None:
        self._identity, self._signer = identity, signer
        self._journal, self._baseline, self._vitals = journal, baseline, vitals
        self._count = 0
        self.baseline_digest = ""

    async def beat(self) -> None:
        """Make the next state and publish it."""
        self._count += 1
        vitals = self._vitals
        # A first scan holds the baseline until it is whole.
        if not self.baseline_digest and not vitals.is_scanning():
            self.baseline_digest = await asyncio.to_thread(self._baseline.digest)
        status = self._journal.status()
        body = heartbeat.state(
            self._identity,
            counter=self._count,
            uptime_s=now()[0],
            newest_sequence=status.newest_sequence,
            reports=vitals.reports(),
            rules=vitals.rules(),
            profile=vitals.profile(),
            incidents_open=vitals.incidents_open(),
            degraded=status.reason,
            checkpoint=heartbeat.checkpoint(
                self._identity, status, self.baseline_digest, self._signer
            ),
        )
        vitals.publish(body)
