"""What an applier promises, and what it is given.

Rule 1: a kind of release is a file KIND.py of this folder with a function `applier(context)`; the
folder is listed. Where it has `recover(context)` too, that is called at each start of the agent.
Rule 2: the installer has verified the release and told so (Step.VERIFIED) before `apply`; what is
fetched meanwhile is verified by the applier against the release.
Rule 3: an applier tells its own steps from then on, each before what it allows; what goes wrong for
a reason of the release's is told as REFUSED or ROLLED_BACK, and is no exception.
"""

from __future__ import annotations

import importlib
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, Protocol

from vedette.daemon import appliers
from vedette.daemon.config import Config
from vedette.daemon.step_teller import StepTeller
from vedette.model.release import Release, ReleaseKind
from vedette.ports.discover import module_names, modules
from vedette.ports.release_source import ReleaseSource
from vedette.trust.tuf_floors import Floors


class Context(NamedTuple):
    """What an applier works with.

    Attributes:
        config: of this device.
        teller: takes its steps.
        staging: a folder of the installer's for what is being fetched; it outlives a power cut.
        floors: the lowest counters that are still taken.
    """

    config: Config
    teller: StepTeller
    staging: Path
    floors: Floors


class Applied(Enum):
    """What became of a release."""

    TAKEN = auto()
    """It is in use, or on trial: the installer raises the floor of its name to its counter."""
    UNDER_WAY = auto()
    """It goes on elsewhere (a reboot, a trial of its own), and its floor is raised there."""
    REFUSED = auto()
    """It was refused or given back, which was told; it is not tried again by itself."""


class Applier(Protocol):
    """Applies releases of one kind."""

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Apply a release.

        Raises:
            FetchError: it could not be fetched; the next try goes on from there.
            StoreError: the disk did not take it, or a step could not be recorded.
        """


def recover(context: Context) -> None:
    """Do what a reboot or a power cut left open, for every kind that has something to do then.

    Raises:
        StoreError: the disk did not take it, or a step could not be recorded.
    """
    for module in modules(appliers):
        undone = getattr(module, "recover", None)
        if undone is not None and module.__name__ != __name__:
            undone(context)


def find(kind: ReleaseKind, context: Context) -> Applier | None:
    """The applier of a kind, or None where this device has none."""
    if str(kind) not in module_names(appliers):
        return None
    module = importlib.import_module(f"vedette.daemon.appliers.{kind}")
    found: Applier = module.applier(context)
    return found
