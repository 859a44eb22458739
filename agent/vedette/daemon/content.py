"""The signed content in force: rules, profile, playbooks; chosen at the start and at each reload.

Rule 1: a thread reads, verifies and syncs, which takes longer than events may wait; the loop
decodes rules in turns (daemon/turns.py), since a second thread that computes would hold it up.
Rule 2: whoever stands on content (the holder, the trial of rules) is told after it is in force.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vedette.codec.bundle import decode_in_slices
from vedette.daemon import assembly, collector
from vedette.daemon.config import Config
from vedette.daemon.content_source import Chosen, nothing_chosen
from vedette.daemon.rules_trials import RulesTrials, TrialStep
from vedette.daemon.turns import in_loop
from vedette.model.rule import Bundle
from vedette.model.trust import TrustDocument
from vedette.ports.state import State

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts


class Content:
    """Chooses.

    Args:
        parts: take into use what was chosen; they need not be there before `start`.
        config: says where content is offered and whom the device trusts.
        state: keeps what was accepted.

    Attributes:
        chosen: which rules are offered and kept, and why not.
        trials: of new rules.

    Raises:
        TrustError: the trust document cannot be used.
        StoreError: the state cannot be read.
    """

    def __init__(self, parts: Parts, config: Config, state: State) -> None:
        self._parts, self._state = parts, state
        self._sources = assembly.sources(config, state, self._parse)
        self.chosen: Chosen[Bundle] = nothing_chosen()
        self.trials = RulesTrials(lambda: self._sources.rules, self.choose, self._tell_trial)
        self._loop: asyncio.AbstractEventLoop

    @property
    def document(self) -> TrustDocument:
        """Whom the device trusts."""
        return self._sources.document

    async def start(self) -> None:
        """Choose for the first time, after a bundle that ended the agent was given back."""
        self._loop = asyncio.get_running_loop()
        await self.trials.start()
        await self.choose()

    def follow(self, config: Config) -> None:
        """Have the next choice made by another configuration.

        Raises:
            TrustError: the trust document cannot be used; all is as it was.
            StoreError: the state cannot be read; all is as it was.
        """
        self._sources = assembly.sources(config, self._state, self._parse)

    async def choose(self) -> None:
        """Take into use what is offered or kept now."""
        parts = self._parts
        with collector.paused():
            self.chosen = await asyncio.to_thread(self._sources.rules.choose)
            if self.chosen.content is not None:
                is_trial = self.trials.is_tried(self.chosen)
                await parts.shell.load_rules(self.chosen.content, is_trial=is_trial)
            await parts.profiles.choose(self._sources.profiles)
            await parts.defending.choose(self._sources.playbooks)
        if parts.exec_holder is not None:
            parts.exec_holder.refresh()
        parts.own.rules(self.chosen)
        await self.trials.begun(self.chosen)

    def _parse(self, payload: bytes) -> Bundle:
        return in_loop(decode_in_slices(payload), self._loop)

    async def _tell_trial(self, step: TrialStep) -> None:
        from vedette.daemon import update_answers  # noqa: PLC0415 (rare: not resident)

        await update_answers.UpdateAnswers(update_answers.device_of(self._parts)).tell_trial(step)
