"""The sentinel looks after itself: its processes, files and folders, and what it watches with.

Rule: what somebody took away is put back where that can be done, and told in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vedette.core.inputs import OwnProcesses
from vedette.daemon import folders
from vedette.daemon.guard import Guard
from vedette.daemon.ladder import Ladder
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.shell import Shell, now
from vedette.model.event import TierChanged


class SelfWatch:
    """Looks.

    Args:
        shell: leads to the core.
        own: tells people.
        kept: the folders that we cannot be without.
        ladder: gives the sources of the moment.

    Attributes:
        guard: None until the sentinel is open to others.
        own_pids: our processes as of the last look.
    """

    def __init__(
        self, shell: Shell, own: OwnReports, kept: Sequence[Path], ladder: Callable[[], Ladder]
    ) -> None:
        self._shell, self._own, self._ladder = shell, own, ladder
        self._folders = folders.Kept(*kept)
        self.guard: Guard | None = None
        self.own_pids: frozenset[int] = frozenset()

    async def look(self) -> Sequence[TierChanged]:
        """Look after what we stand on, and what the sources watch with; returns what changed."""
        if self.guard is None:
            return ()
        self.guard.look()
        pids, ladder = self.guard.pids(), self._ladder()
        if pids != self.own_pids:
            self.own_pids = pids
            self._shell.tell(OwnProcesses(*now(), pids))
            await ladder.guard(pids)
        robbed, changes = await ladder.mend()
        for name, reason in robbed.items():
            self.guard.robbed(name, reason)
        if changes:
            self._shell.observe(changes)
        return changes

    def look_after_folders(self) -> None:
        """Tell which of our folders are gone, and what the keeper says of our parts."""
        for folder in self._folders.lost():
            self._own.folder_lost(folder)
        self._own.parts()

    async def check(self, *, is_asked: bool) -> Sequence[TierChanged]:
        """Have every source prove itself, too; returns what changed."""
        self.look_after_folders()
        mended = await self.look()
        changes = await self._ladder().check(is_asked=is_asked)
        self._shell.observe(changes)
        return [*mended, *changes]
