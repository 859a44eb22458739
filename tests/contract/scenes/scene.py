"""What the contract suite of the responders plays on: one scene for each of them.

Rule 1: a scene makes its own target, in a throwaway folder, in namespaces of its own or of
processes that it started, and takes everything away in `close`.
Rule 2: it looks at the target from outside (/proc, the file system, the kernel), never by asking
the responder what it did.
Rule 3: what cannot happen to this kind of target returns False, and the suite skips it by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from vedette.model.response import Target
from vedette.ports.responder import ResponderContext


class Scene(ABC):
    """A target and the world around it.

    The file is named as the responder and ends with `scene_class = TheClass`.

    Attributes:
        options: the responder's table of the configuration, as ResponderContext has it.
    """

    options: Mapping[str, int | str | bool] = {}

    def __init__(self, folder: Path) -> None:
        """Make the target.

        Args:
            folder: empty, throwaway, this scene's own.
        """
        self.folder = folder

    def equip(self, context: ResponderContext) -> ResponderContext:
        """Give the responder what else it needs of the agent."""
        return context

    @classmethod
    def refusal(cls) -> str:
        """Why this machine cannot play it ("needs root"), or ""."""
        return ""

    @abstractmethod
    def target(self) -> Target:
        """What orders of this scene name, as it was when the scene began."""

    @abstractmethod
    def state(self) -> object:
        """All that an undo has to bring back, to be compared with ==."""

    @abstractmethod
    def is_contained(self) -> bool:
        """Whether the target can do no more harm, seen from outside."""

    def untouchable_pids(self) -> frozenset[int]:
        """The pids that make this scene's target untouchable."""
        return frozenset()

    def untouchable_paths(self) -> tuple[str, ...]:
        """The paths that make this scene's target untouchable."""
        return ()

    def vanish(self) -> bool:
        """The target goes away by itself."""
        return False

    def replace(self) -> bool:
        """The target goes away, and something else stands under its name (pid, path)."""
        return False

    def is_replacement_untouched(self) -> bool:
        """Whether what came by `replace` is as it came."""
        raise NotImplementedError

    def take_away(self) -> bool:
        """Somebody else takes away what the responder did: afterwards `holds` must be False."""
        return False

    def reboot(self) -> bool:
        """What no reboot leaves is gone, as far as it can be played; the suite empties run_dir."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Take everything away."""
