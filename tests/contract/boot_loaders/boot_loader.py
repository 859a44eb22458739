"""What the contract suite of the slot back-ends plays on: one boot loader for each of them.

Rule 1: `boot` does what the boot script does (packaging/boot/), by other means than the back-end:
the tools of the boot loader itself, where this machine has them.
Rule 2: a boot loader's file is named as the back-end and ends with `boot_loaders = (Class, ...)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from vedette.ports.slot_backend import SlotBackend


class BootLoader(ABC):
    """A device with two slots, of which one runs."""

    def __init__(self, folder: Path) -> None:
        """Make the device, as it leaves the factory: the first slot is committed and runs.

        Args:
            folder: empty, throwaway, this device's own.
        """
        self.folder = folder

    @classmethod
    def refusal(cls) -> str:
        """Why this machine cannot play it ("needs fw_setenv"), or ""."""
        return ""

    @abstractmethod
    def backend(self) -> SlotBackend:
        """The back-end, as a process that was just started makes it."""

    @abstractmethod
    def boot(self) -> None:
        """Start the device: a try is counted, a slot is chosen, and the kernel is told which."""

    @abstractmethod
    def damage(self) -> bool:
        """All that says what is started next becomes nonsense; False where that cannot be."""

    @abstractmethod
    def refuse(self) -> None:
        """From now on nothing can be written any more."""

    @abstractmethod
    def allow(self) -> None:
        """The end of `refuse`."""

    def lie(self) -> bool:
        """From now on the tool says that it is done and does nothing; False where there is none."""
        return False

    def close(self) -> None:  # noqa: B027 - most leave nothing behind
        """Take everything away that is not in the folder."""
