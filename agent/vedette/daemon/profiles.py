"""Profiles in the sentinel: which one is in force, what is learnt, and what is there already.

Rule 1: a profile of another firmware is told as stale and not used: it would only make noise.
Rule 2: what no event tells (who listens since before the agent began) is asked for whenever
learning or judging begins.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from vedette.codec.profile import MAX_BYTES
from vedette.core.inputs import ProfileLoaded, Standing
from vedette.core.profile import ProfileWatch
from vedette.daemon.config import Device
from vedette.daemon.content_source import Chosen, ContentSource, nothing_chosen
from vedette.daemon.firmware import firmware
from vedette.daemon.learning import Learning
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.shell import Shell, now
from vedette.errors import ParseError
from vedette.model.profile import Profile
from vedette.sensors.listeners import ListenersSensor
from vedette.store.shelf import FileShelf


class Profiles:
    """The profile in force and the learning run.

    Args:
        shell: leads to the core.
        own: tells people.
        device: id, class and firmware as the configuration has them.
        boot: the kernel's boot id.
        state_dir: keeps the run.

    Attributes:
        chosen: what is offered and kept, and why not.
        firmware: of this device.
        listeners: the source that knows who listens, once it is open.
    """

    def __init__(
        self, shell: Shell, own: OwnReports, *, device: Device, boot: str, state_dir: Path
    ) -> None:
        self._shell, self._own = shell, own
        self.firmware = firmware(device.firmware)
        self.chosen: Chosen[Profile] = nothing_chosen()
        self.listeners: ListenersSensor | None = None
        self.learning = Learning(
            shell,
            FileShelf(state_dir / "learning", max_bytes=MAX_BYTES),
            own,
            device=(device.id, device.class_, self.firmware),
            boot=boot,
            on_started=self.tell_standing,
        )

    @property
    def watch(self) -> ProfileWatch:
        """The core's part."""
        return self._shell.agent.profile

    @property
    def is_stale(self) -> bool:
        """Whether there is a profile that is not used, for its firmware."""
        profile = self.chosen.content
        return profile is not None and profile.firmware != self.firmware

    @property
    def in_force(self) -> Profile | None:
        """The signed profile that the device is held against, or None."""
        judge = self.watch.judge
        return None if judge is None else judge.profile

    @property
    def digest(self) -> str:
        """Of the profile in force, "" for none."""
        profile = self.in_force
        return profile.digest if profile is not None else ""

    async def choose(self, source: ContentSource[Profile] | None) -> None:
        """Use what is offered or kept; None wants no profile at all."""
        found: Chosen[Profile] = nothing_chosen()
        if source is not None:
            found = await asyncio.to_thread(source.choose)
        self.chosen = found
        wanted = None if self.is_stale else self.chosen.content
        if (wanted.digest if wanted else "") != self.digest:
            self._shell.tell(ProfileLoaded(*now(), wanted))
            self.tell_standing()
        self._own.profile(self.chosen, self.firmware)

    def tell_standing(self) -> None:
        """Let who listens already be learnt and judged as well."""
        if self.listeners is None or not self.watch.is_on:
            return
        try:
            found = self.listeners.standing()
        except (OSError, ParseError) as error:
            self._own.learning_lost(f"listening sockets were unreadable: {error}")
            return
        self._shell.tell(Standing(*now(), tuple(found)))
