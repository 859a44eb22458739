"""The learning run of this device: begun by an operator, kept over restarts, ended in time.

Rule 1: what is learnt is trusted on first use until a person has signed it; so a start, a stop and
each draft that is written are journal entries, and a start is a finding.
Rule 2: a run lasts so many seconds of watching: no clock is asked, and time without the agent does
not count.
Rule 3: it is saved when something new was learnt, at most every SAVE_S, so that a power cut costs
at most that; without anything new every IDLE_SAVE_S, for the time alone.
Rule 4: a run belongs to one firmware: on another one it ends, and what it learnt can be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from vedette.codec import learning_run as codec
from vedette.codec.ocsf import canonical
from vedette.codec.profile import encode_draft
from vedette.codec.strict_json import Json
from vedette.core.inputs import LearningSet
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.shell import Shell, now
from vedette.errors import ParseError, RequestError, StoreError
from vedette.model.profile import LearningRun, LearningState, Learnt, Origin, Profile
from vedette.ports.state import Shelf

LOOK_S: Final = 60.0
SAVE_S: Final = 600.0
IDLE_SAVE_S: Final = 3600.0
MIN_S: Final = 60
MAX_S: Final = 90 * 86_400
DEFAULT_S: Final = 72 * 3600
"""Three days: what happens nightly happened at least twice."""
FILE: Final = "run.json"


class Learning:
    """Owns the run; `open` it once the core is there, `close` it before the shell stops.

    Args:
        shell: leads to the core's learner.
        shelf: keeps the run.
        own: tells people.
        device: id and class as the configuration has them, and the firmware of now.
        boot: the kernel's boot id.
        on_started: called when the core has begun to learn, to tell it what is there already.
    """

    def __init__(
        self,
        shell: Shell,
        shelf: Shelf,
        own: OwnReports,
        *,
        device: tuple[str, str, str],
        boot: str,
        on_started: Callable[[], None],
    ) -> None:
        self._shell, self._shelf, self._own = shell, shelf, own
        self._device, self._class, self._firmware = device
        self._boot, self._on_started = boot, on_started
        self._run: LearningRun | None = None
        self._counted_s = self._saved_s = 0.0
        self._saved_revision = 0
        self._losses_before = 0

    @property
    def run(self) -> LearningRun | None:
        """How it stands now, None where nothing was ever learnt."""
        run = self._run
        if run is None or run.state != "learning":
            return run
        learner = self._shell.agent.profile.learner
        learnt = learner.learnt() if learner is not None else run.learnt
        elapsed_s = run.elapsed_s + int(now()[0] - self._counted_s)
        losses = run.losses + self._losses() - self._losses_before
        is_written = run.is_written and learnt == run.learnt
        return run._replace(
            learnt=learnt, elapsed_s=elapsed_s, losses=losses, is_written=is_written
        )

    def open(self) -> None:
        """Go on with the run of an earlier process, if there is one."""
        try:
            data = self._shelf.load(FILE)
            self._run = run = codec.decode(data) if data is not None else None
        except (ParseError, StoreError) as error:
            self._own.learning_lost(str(error))
            return
        if run is None or run.state != "learning":
            return
        if run.firmware != self._firmware or run.device_class != self._class:
            self._run = run._replace(state="stopped")
            self._own.learning_stopped(
                f"it had begun on {run.firmware or 'no known firmware'} (class "
                f"{run.device_class or 'none'}), this is {self._firmware or 'no known firmware'} "
                f"(class {self._class or 'none'}); start it again: vedette learn start"
            )
            return
        boots = run.boots if self._boot in run.boots else (*run.boots, self._boot)
        self._begin(run._replace(boots=boots))

    async def start(self, wanted_s: int, *, is_resumed: bool, is_fresh: bool) -> LearningRun:
        """Begin to learn.

        Args:
            wanted_s: from MIN_S to MAX_S.
            is_resumed: add to what the last run learnt.
            is_fresh: what the last run learnt may be thrown away, also if it was not written.

        Raises:
            RequestError: it learns already, or would throw away what was learnt.
            StoreError: the disk did not take it; nothing was begun.
        """
        old = self.run
        if old is not None and old.state == "learning":
            raise RequestError(
                "this device learns already; see: vedette learn status; end it with: vedette "
                "learn stop"
            )
        fits = old is not None and (old.firmware, old.device_class) == (self._firmware, self._class)
        if is_resumed and not fits:
            raise RequestError(
                "there is no run on this firmware and class to go on with; start without --resume"
            )
        if old is not None and not (is_resumed or is_fresh or old.is_written):
            raise RequestError(
                "what the last run learnt was never written and would be lost: write it (vedette "
                "learn write FILE), go on with it (--resume) or throw it away (--fresh)"
            )
        kept = old if is_resumed else None
        run = LearningRun(
            "learning",
            self._device,
            self._class,
            self._firmware,
            kept.began_s if kept else int(now()[1]),
            wanted_s + (kept.elapsed_s if kept else 0),
            kept.elapsed_s if kept else 0,
            kept.boots if kept else (self._boot,),
            kept.losses if kept else 0,
            False,
            kept.learnt if kept else Learnt(),
        )
        await self._save(run)
        self._begin(run)
        self._note("start", wanted_s=wanted_s, resumed=is_resumed)
        self._own.learning_started(wanted_s)
        return run

    async def stop(self, *, is_early: bool) -> LearningRun:
        """End the run; what it learnt is kept until it is written or thrown away.

        Raises:
            RequestError: nothing is learnt, or its time is not over and that is not meant.
        """
        run = self.run
        if run is None or run.state != "learning":
            raise RequestError("this device does not learn; start it with: vedette learn start")
        if not is_early and run.elapsed_s < run.wanted_s:
            raise RequestError(
                f"it has learnt for {run.elapsed_s} of {run.wanted_s} s: what it did not see by "
                "now will be findings; stop it all the same with --yes"
            )
        return await self._end(run, "stopped")

    async def look(self) -> None:
        """End a run whose time is over; save what is new; to be called every LOOK_S."""
        run = self.run
        if run is None or run.state != "learning":
            return
        if run.elapsed_s >= run.wanted_s:
            await self._end(run, "done")
            self._own.learning_done(run.wanted_s)
            return
        learner = self._shell.agent.profile.learner
        is_new = learner is not None and learner.revision != self._saved_revision
        if now()[0] - self._saved_s >= (SAVE_S if is_new else IDLE_SAVE_S):
            await self.save()

    async def save(self) -> None:
        """Keep the run as it is; a disk that refuses is told."""
        run = self.run
        if run is None:
            return
        try:
            await self._save(run)
        except StoreError as error:
            self._own.learning_lost(str(error))

    async def write(self) -> tuple[LearningRun, bytes]:
        """The draft of a profile from what was learnt so far, journalled.

        Raises:
            RequestError: nothing was ever learnt here.
            StoreError: the disk did not take the run.
        """
        run, draft = self.draft()
        self._settle(run._replace(is_written=True))
        await self._save(run._replace(is_written=True))
        self._note("write", programs=len(run.learnt.programs), bytes=len(draft))
        return run, draft

    def draft(self) -> tuple[LearningRun, bytes]:
        """The draft of a profile, for reading.

        Raises:
            RequestError: nothing was ever learnt here.
        """
        run = self.run
        if run is None:
            raise RequestError("nothing was learnt here yet; start it with: vedette learn start")
        origin = Origin(
            run.device, run.began_s, run.elapsed_s, max(len(run.boots) - 1, 0), run.losses
        )
        profile = Profile("", 0, 0, 0, run.device_class, run.firmware, origin, run.learnt, "")
        return run, encode_draft(profile)

    async def _end(self, run: LearningRun, state: LearningState) -> LearningRun:
        run = run._replace(state=state)
        self._shell.tell(LearningSet(*now(), None))
        self._run = run
        await self.save()
        left_out = run.learnt.left_out
        self._note(state, elapsed_s=run.elapsed_s, left_out=sum(left_out))
        return run

    def _begin(self, run: LearningRun) -> None:
        self._settle(run)
        self._shell.tell(LearningSet(*now(), run.learnt))
        self._on_started()

    def _settle(self, run: LearningRun) -> None:
        self._run = run
        self._counted_s = now()[0]
        self._losses_before = self._losses()

    async def _save(self, run: LearningRun) -> None:
        learner = self._shell.agent.profile.learner
        revision = learner.revision if learner is not None else 0
        await asyncio.to_thread(lambda: self._shelf.save(FILE, codec.encode(run)))
        self._saved_s, self._saved_revision = now()[0], revision

    def _losses(self) -> int:
        return sum(row.losses for row in self._shell.agent.ledger.rows())

    def _note(self, did: str, **more: Json) -> None:
        self._shell.note("learning", canonical({"did": did, "firmware": self._firmware, **more}))
