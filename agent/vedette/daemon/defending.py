"""Defence in the sentinel: playbooks, responders and what they may never touch, put together.

Rule 1: what holds from before the start is told to the core before anything is observed.
Rule 2: decisions about playbooks are on the disk before anything follows from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from vedette.codec import ocsf, promotions
from vedette.core.commands import Promote
from vedette.core.inputs import PlaybooksLoaded
from vedette.daemon import assembly
from vedette.daemon.config import Config
from vedette.daemon.content_source import Chosen, ContentSource, nothing_chosen
from vedette.daemon.essentials import Essentials
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.responder_calls import Responders
from vedette.daemon.responding import Responding
from vedette.daemon.shell import Shell, now
from vedette.daemon.untouchables import Untouchables
from vedette.errors import StoreError
from vedette.model.playbook import Playbooks, Promotion
from vedette.ports.journal import Journal
from vedette.ports.state import State

PROMOTIONS = "playbooks.promotions"


class Defending:
    """The parts of defence.

    Args:
        shell: leads to the core.
        own: tells people.
        journal, state: keep what must be kept.
        config: as it was read.
        responders: who carries out what.
        boot: the kernel's boot id.

    Attributes:
        chosen: which playbooks are offered and kept, and why not.
        essentials: probes what the device is there for.
    """

    def __init__(
        self,
        shell: Shell,
        own: OwnReports,
        journal: Journal,
        state: State,
        *,
        config: Config,
        responders: Responders,
        boot: str,
    ) -> None:
        self._shell, self._own, self._state = shell, own, state
        self.chosen: Chosen[Playbooks] = nothing_chosen()
        self.untouchables = Untouchables(config, shell.tell)
        self.responding = Responding(
            shell,
            journal,
            responders,
            assembly.response_store(config),
            boot=boot,
            on_promote=self._promoted,
        )
        shell.on_defence = self.responding.carry_out
        essential = config.essential
        self.essentials = Essentials(shell, essential.functions, every_s=essential.every_s)
        self.essentials.on_probed = self.untouchables.look
        self.untouchables.others = self.essentials.guarded
        self.responding.on_probe = self.essentials.ask

    async def choose(self, source: ContentSource[Playbooks] | None) -> None:
        """Use what is offered or kept; None wants no playbooks at all."""
        found: Chosen[Playbooks] = nothing_chosen()
        if source is not None:
            found = await asyncio.to_thread(source.choose)
        before, self.chosen = self.chosen, found
        if found.digest != before.digest:
            self._shell.tell(PlaybooksLoaded(*now(), found.content, self._promotions()))
        self._own.playbooks(found)

    def _promotions(self) -> Mapping[str, Promotion]:
        found, problems = promotions.decode(self._state.texts(PROMOTIONS))
        if problems:
            self._own.mended(problems)
        return found

    def _promoted(self, command: Promote) -> None:
        """Kept at once, in the loop: a decision is rare, and nothing may follow from a lost one."""
        known = {**self._promotions()}
        known.pop(command.digest, None)
        known[command.digest] = command.promotion
        body = {
            "playbook": command.playbook, "digest": command.digest,
            "mode": str(command.promotion.mode), "reason": command.promotion.reason,
        }  # fmt: skip
        self._shell.note("promotion", ocsf.canonical(body))
        try:
            self._state.update({PROMOTIONS: promotions.encode(known)})
        except StoreError as error:
            self._own.mended([f"a decision about playbook {command.playbook} is lost: {error}"])
