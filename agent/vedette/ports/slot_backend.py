"""The port of a boot loader with two slots: five verbs, and two questions.

Rule 1: a new back-end is one new file in slots/ that ends with `slot_backend_class = TheClass`, and
one in tests/contract/boot_loaders/.
Rule 2: every verb may be repeated: after a power cut in its middle the same call finishes it, and
until then the boot loader starts the committed slot or, where that was asked for, the trial.
Rule 3: a verb changes the boot loader's state in one write and reads it back: tools that say
"done" and did nothing are common (libubootenv ignores "name value" and returns 0).
Rule 4: only SlotError leaves the methods. Calls block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from vedette.errors import SlotError
from vedette.model.firmware import BootPlan

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_TRIES = 3
"""RAUC's default, and what stock U-Boot scripts can count without arithmetic."""


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What a back-end is given.

    Attributes:
        folder: its own, kept over a reboot (0700).
        write_file: replaces a file durably or not at all (store.durable.write).
        options: its table of the configuration, already checked: text by name.
    """

    folder: Path
    write_file: Callable[[Path, bytes], None]
    options: Mapping[str, str] = field(default_factory=dict)


class SlotBackend(ABC):
    """One kind of boot loader.

    Attributes:
        context: as given.
    """

    options: ClassVar[Mapping[str, str]] = {}
    """What may be configured, by name, with what is taken where nothing is."""
    unproven: ClassVar[str] = ""
    """What of it nobody has seen on a booted device; where that is not "", it is experimental."""

    def __init__(self, context: SlotContext) -> None:
        self.context = context

    @abstractmethod
    def slots(self) -> tuple[str, str]:
        """The names of both slots."""

    @abstractmethod
    def booted(self) -> str:
        """The slot that runs.

        Raises:
            SlotError: nobody knows.
        """

    @abstractmethod
    def plan(self) -> BootPlan:
        """What the boot loader will do, as its own state says now.

        Raises:
            SlotError: that state cannot be read.
        """

    @abstractmethod
    def place(self, slot: str) -> Path:
        """The device or file that a firmware for a slot is written to.

        Raises:
            SlotError: there is none.
        """

    def install(self, slot: str, image: Path) -> None:  # noqa: B027 - most write the slot itself
        """Take what was written to `place` and read back, where that is not the slot itself.

        Raises:
            SlotError: it was refused.
        """

    def boot_id(self) -> str:
        """Differs after every start of the device.

        Raises:
            SlotError: nobody knows.
        """
        try:
            return BOOT_ID.read_text("ascii").strip()
        except (OSError, UnicodeError) as error:
            raise SlotError(f"{BOOT_ID}: cannot be read: {error}; mount /proc") from error

    @final
    def other(self, slot: str) -> str:
        """The slot beside one.

        Raises:
            SlotError: there is no such slot.
        """
        first, second = self.slots()
        if slot not in {first, second}:
            raise SlotError(f"expected slot {first} or {second}, got {slot!a}")
        return second if slot == first else first

    @final
    def arm(self, slot: str, tries: int = MAX_TRIES) -> None:
        """Let the boot loader try a slot from the next start on, and fall back by itself.

        Args:
            tries: how many starts it gets; from 1 to MAX_TRIES.

        Raises:
            SlotError: it did not take it, or reads back as something else.
        """
        wanted = BootPlan(self.other(slot), slot, tries)
        if not 0 < tries <= MAX_TRIES:
            raise SlotError(f"expected 1 to {MAX_TRIES} tries, got {tries}")
        self._arm(slot, tries)
        self._expect(wanted)

    @final
    def commit(self, slot: str) -> None:
        """Let the boot loader start a slot from now on, with nothing on trial.

        Also the way back: `commit` of the slot before ends a trial or undoes a commit.

        Raises:
            SlotError: it did not take it, or reads back as something else.
        """
        self.other(slot)
        self._commit(slot)
        self._expect(BootPlan(slot))

    @abstractmethod
    def _arm(self, slot: str, tries: int) -> None:
        """Write it, in one step."""

    @abstractmethod
    def _commit(self, slot: str) -> None:
        """Write it, in one step."""

    def _expect(self, wanted: BootPlan) -> None:
        found = self.plan()
        if found != wanted:
            raise SlotError(
                f"the boot loader did not take it: expected {wanted}, it reads back as {found}; "
                "check that it and its tool mean the same environment"
            )
