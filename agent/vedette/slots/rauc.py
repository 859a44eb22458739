"""RAUC, where a product has it: it writes the slot and talks to the boot loader, we decide when.

Rule 1: the target of such a release is a RAUC bundle. It is written to a file of ours, read back
and compared with its signed digest like any image, and then handed to `rauc install`, which checks
its own signature too. That is the one back-end where a firmware is on the disk twice.
Rule 2: RAUC must not arm the boot loader by itself: system.conf needs activate-installed=false.
Where it did all the same, the running slot is made the active one again before `install` returns.
Rule 3: RAUC knows which slot is started next, not which one is committed: that is in a note of
ours, written before the boot loader is told. Tries are counted by the boot loader itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vedette.codec import rauc_status
from vedette.codec.rauc_status import RaucSlot, RaucStatus
from vedette.codec.uboot_environment import decode, script
from vedette.errors import ParseError, SlotError, StoreError
from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotBackend
from vedette.slots import _tool

INSTALL_TIMEOUT_S = 3600.0
"""Half a gigabyte on a slow card takes ten minutes."""
BUNDLE_FILE = "bundle.raucb"
NOTE_FILE = "rauc-note"
_MAX_NOTE_BYTES = 4096
_SLOTS = 2


class RaucBackend(SlotBackend):
    """Option `rauc`: the program, where it is not in the system's folders."""

    unproven: ClassVar[str] = "all of it with a real RAUC; it was tried with a simulated one"
    options: ClassVar[Mapping[str, str]] = {"rauc": ""}

    def slots(self) -> tuple[str, str]:
        """As the boot loader calls them."""
        first, second = (slot.bootname for slot in self._status().slots)
        return first, second

    def booted(self) -> str:
        """As RAUC found it."""
        return self._status().booted

    def plan(self) -> BootPlan:
        """What RAUC says is started next, beside the note of what is committed."""
        status = self._status()
        note = self._note()
        committed = note.get("committed") or status.booted
        good = {slot.bootname for slot in status.slots if slot.is_good}
        if not status.primary or status.primary == committed:
            return BootPlan(committed)
        tries = int(note.get("tries") or "0") if status.primary in good else 0
        return BootPlan(committed, status.primary, tries)

    def place(self, slot: str) -> Path:
        """Where the bundle is kept until RAUC has installed it."""
        self.other(slot)
        return self.context.folder / BUNDLE_FILE

    def install(self, slot: str, image: Path) -> None:
        """Hand a bundle over to RAUC, which installs it into the slot that does not run."""
        if self.booted() == slot:
            raise SlotError(f"expected to install beside the slot that runs, got slot {slot!a}")
        self._rauc("install", str(image), timeout_s=INSTALL_TIMEOUT_S)
        status = self._status()
        if status.primary != status.booted:
            self._rauc("status", "mark-active", "booted")

    def _arm(self, slot: str, tries: int) -> None:
        self._write_note({"committed": self.other(slot), "tries": str(tries)})
        self._rauc("status", "mark-active", self._named(slot).name)

    def _commit(self, slot: str) -> None:
        chosen = self._named(slot).name
        if self.plan().trial == self.other(slot):  # the way back: nobody shall start it again
            self._rauc("status", "mark-bad", self._named(self.other(slot)).name)
        self._rauc("status", "mark-active", chosen)
        self._rauc("status", "mark-good", chosen)
        self._write_note({"committed": slot, "tries": "0"})

    def _named(self, slot: str) -> RaucSlot:
        return next(one for one in self._status().slots if one.bootname == slot)

    def _status(self) -> RaucStatus:
        text = self._rauc("status", "--output-format=json", with_errors=False)
        try:
            status = rauc_status.decode(text)
        except ParseError as error:
            raise SlotError(f"rauc status: {error}") from error
        if len(status.slots) != _SLOTS:
            raise SlotError(
                f"rauc status: expected two slots with a bootname, got {len(status.slots)}"
            )
        return status

    def _rauc(
        self, *words: str, timeout_s: float = _tool.TIMEOUT_S, with_errors: bool = True
    ) -> str:
        argv = [_tool.found(self.context.options.get("rauc", ""), "rauc"), *words]
        return _tool.run(argv, timeout_s=timeout_s, with_errors=with_errors)

    def _note(self) -> dict[str, str]:
        path = self.context.folder / NOTE_FILE
        try:
            with path.open("rb") as file:
                note = decode(file.read(_MAX_NOTE_BYTES).decode("ascii", "replace"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SlotError(f"{path}: cannot be read: {error.strerror}") from error
        if note.get("tries", "0") not in {"0", "1", "2", "3"}:
            raise SlotError(f"{path}: expected a number of tries, got {note['tries']!a}")
        return note

    def _write_note(self, note: dict[str, str]) -> None:
        try:
            self.context.write_file(self.context.folder / NOTE_FILE, script(note))
        except StoreError as error:
            raise SlotError(str(error)) from error


slot_backend_class = RaucBackend
