"""Carries out how the trial of a bundle ended: it stays, or the one before it is used again.

Rule 1: what was decided is on the disk (trust/content_gate.py) before rules change, and a step of
an update (core/updates.py) after: an incident where the bundle was given back.
Rule 2: where giving back is refused (nothing was before it, the disk is full), the bundle stays in
use: its rules have budgets of their own (core/budgets.py), and no rules at all would be worse.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from vedette.core.commands import SettleRules
from vedette.daemon.content_source import Chosen, ContentSource
from vedette.errors import StoreError, TrustError
from vedette.model.rule import Bundle


class TrialStep(NamedTuple):
    """A step of a bundle, in the words of model/update.py; who records it makes the report."""

    step: str
    name: str
    counter: int
    digest: str
    cause: str = ""
    reason: str = ""
    by: str = "gate"


class RulesTrials:
    """Follows the bundle in use.

    Args:
        rules: where the rules in force come from, asked for each time.
        reload: takes into use what the gate gives now.
        tell: records a step.
    """

    def __init__(
        self,
        rules: Callable[[], ContentSource[Bundle]],
        reload: Callable[[], Awaitable[None]],
        tell: Callable[[TrialStep], Awaitable[None]],
    ) -> None:
        self._rules, self._reload, self._tell = rules, reload, tell
        self._waiting: deque[SettleRules] = deque()
        self._has_work = asyncio.Event()
        self._bundle: Bundle | None = None

    def settled(self, command: SettleRules) -> None:
        """The core has decided; returns at once."""
        self._waiting.append(command)
        self._has_work.set()

    async def start(self) -> None:
        """The agent starts: a bundle that has ended it again and again is given back unread."""
        gate = self._rules().gate
        digest = gate.trial
        try:
            reason = await asyncio.to_thread(gate.start)
            if reason:
                await asyncio.to_thread(gate.withdraw, digest)
        except (TrustError, StoreError):
            return  # it stays in use; what is wrong with the disk is told by others
        if reason:
            await self._tell(TrialStep("rolled-back", "", 0, digest, "health", reason))

    def is_tried(self, chosen: Chosen[Bundle]) -> bool:
        """Whether what was chosen is on trial."""
        self._bundle = chosen.content
        return bool(chosen.digest) and self._rules().gate.trial == chosen.digest

    async def begun(self, chosen: Chosen[Bundle]) -> None:
        """What was chosen is in use; a trial that begins is told once."""
        bundle = chosen.content
        if bundle is not None and chosen.is_new and self.is_tried(chosen):
            await self._tell(_step("trial", bundle))

    async def run(self) -> None:
        """Carry out until cancelled."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._waiting:
                await self._settle(self._waiting.popleft())

    async def give_back(self, by: str, reason: str) -> None:
        """Use the bundle again that was in use before, because a person wants it.

        Raises:
            TrustError: nothing is kept from before.
            StoreError: the disk did not take it.
        """
        bundle = self._bundle
        if bundle is None:
            raise TrustError("no rules are in use")
        await self._withdraw(bundle, "operator", reason, by)

    async def _settle(self, command: SettleRules) -> None:
        bundle = self._bundle
        if bundle is None or bundle.digest != command.digest:
            return  # another one has taken its place since
        try:
            if command.reason:
                await self._withdraw(bundle, "budget", command.reason)
            else:
                await asyncio.to_thread(self._rules().gate.settle, command.digest)
                await self._tell(_step("committed", bundle))
        except (TrustError, StoreError) as error:
            words = f"{command.reason or 'it proved itself'}; it stays in use: {error}"
            await self._tell(_step("trial", bundle, "", words))

    async def _withdraw(self, bundle: Bundle, cause: str, reason: str, by: str = "gate") -> None:
        await asyncio.to_thread(self._rules().gate.withdraw, bundle.digest)
        await self._reload()
        await self._tell(_step("rolled-back", bundle, cause, reason)._replace(by=by))


def _step(step: str, bundle: Bundle, cause: str = "", reason: str = "") -> TrialStep:
    return TrialStep(step, bundle.name, bundle.counter, bundle.digest, cause, reason)
