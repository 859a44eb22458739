"""GRUB: the trial stands in its environment block, and a script of grub.cfg counts the tries.

The script is packaging/boot/grub-slots.cfg; variables: vedette_slot (committed), vedette_trial,
vedette_tries.

Rule 1: the block is written to a new file that is renamed: the old one or the new one is there,
whole, at any moment. GRUB finds it by its name at each start, and its own save_env overwrites the
one sector pair that the file has.
Rule 2: other variables of the block stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vedette.codec.grub_environment import BLOCK_BYTES, decode, encode
from vedette.errors import ParseError, SlotError, StoreError
from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotBackend
from vedette.slots._booted import booted_slot

_COMMITTED, _TRIAL, _TRIES = "vedette_slot", "vedette_trial", "vedette_tries"
_COUNTS = {"": 0, "0": 0, "1": 1, "2": 2, "3": 3}


class GrubBackend(SlotBackend):
    """Options: where the block is, both slots' partitions, and the word that names the slot."""

    unproven: ClassVar[str] = (
        "a whole update on a booted device; arming, tries and commit were started by the real GRUB"
    )
    options: ClassVar[Mapping[str, str]] = {
        "environment": "/boot/grub/grubenv",
        "slot_a": "/dev/disk/by-partlabel/rootfs-a",
        "slot_b": "/dev/disk/by-partlabel/rootfs-b",
        "parameter": "slot",
        "command_line": "",
    }

    def slots(self) -> tuple[str, str]:
        """They are called a and b."""
        return "a", "b"

    def booted(self) -> str:
        """As the kernel's command line has it."""
        options = self.context.options
        parameter = options.get("parameter") or self.options["parameter"]
        return booted_slot(parameter, self.slots(), options.get("command_line", ""))

    def plan(self) -> BootPlan:
        """As the block has it; without one GRUB starts slot a."""
        values = self._read()
        trial = values.get(_TRIAL, "")
        tries = values.get(_TRIES, "")
        committed = values.get(_COMMITTED, "") or "a"
        if {committed, trial or "a"} - {"a", "b"} or tries not in _COUNTS:
            raise SlotError(
                f"{self._path()}: expected slots a and b and at most 3 tries, got "
                f"{committed!a}, {trial!a}, {tries!a}"
            )
        return BootPlan(committed, trial, _COUNTS[tries] if trial else 0)

    def place(self, slot: str) -> Path:
        """The slot's partition."""
        self.other(slot)
        name = f"slot_{slot}"
        return Path(self.context.options.get(name) or self.options[name]).resolve()

    def _arm(self, slot: str, tries: int) -> None:
        self._write({_COMMITTED: self.other(slot), _TRIAL: slot, _TRIES: str(tries)})

    def _commit(self, slot: str) -> None:
        self._write({_COMMITTED: slot, _TRIAL: "", _TRIES: ""})

    def _path(self) -> Path:
        return Path(self.context.options.get("environment") or self.options["environment"])

    def _read(self) -> dict[str, str]:
        path = self._path()
        try:
            with path.open("rb") as file:
                return decode(file.read(BLOCK_BYTES + 1))
        except FileNotFoundError:
            return {}
        except (OSError, ParseError) as error:
            raise SlotError(
                f"{path}: {error}; make it anew with grub-editenv {path} create"
            ) from error

    def _write(self, changes: dict[str, str]) -> None:
        values = {**self._read(), **changes}
        try:
            self.context.write_file(self._path().resolve(), encode(values))
        except (ParseError, StoreError) as error:
            raise SlotError(f"{self._path()}: {error}") from error


slot_backend_class = GrubBackend
