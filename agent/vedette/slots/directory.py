"""Slots as files of a folder, with a boot loader that is played: for tests, demos and laptops.

    slot-a.img, slot-b.img   what the slots hold
    boot                     name=value lines: committed, trial, tries; booted, boot_id

Rule: `boot` does what the other back-ends' boot scripts do (packaging/boot/), step for step: it
counts a try before it starts the trial, and falls back when none is left.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vedette.codec.uboot_environment import decode, script
from vedette.errors import SlotError, StoreError
from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotBackend

STATE_FILE = "boot"
_FACTORY = {"committed": "a", "trial": "", "tries": "", "booted": "a", "boot_id": "factory"}
_MAX_BYTES = 4096


class DirectoryBackend(SlotBackend):
    """Two files; option `folder` says where, else the back-end's own folder."""

    options: ClassVar[Mapping[str, str]] = {"folder": ""}

    def slots(self) -> tuple[str, str]:
        """They are called a and b."""
        return "a", "b"

    def booted(self) -> str:
        """What `boot` started last."""
        return self._read()["booted"]

    def boot_id(self) -> str:
        """Another one after each `boot`."""
        return self._read()["boot_id"]

    def plan(self) -> BootPlan:
        """As the state file has it."""
        state = self._read()
        return BootPlan(state["committed"], state["trial"], int(state["tries"] or "0"))

    def place(self, slot: str) -> Path:
        """The slot's file, which need not exist yet."""
        self.other(slot)
        return self._folder() / f"slot-{slot}.img"

    def boot(self) -> str:
        """Start the device, as a boot loader would.

        Returns:
            The slot that runs now.
        """
        state = self._read()
        tries = int(state["tries"] or "0")
        if state["trial"] and tries:
            state |= {"booted": state["trial"], "tries": str(tries - 1)}
        else:
            state |= {"booted": state["committed"], "trial": "", "tries": ""}
        self._write(state | {"boot_id": str(uuid.uuid4())})
        return self.booted()

    def _arm(self, slot: str, tries: int) -> None:
        committed = self.other(slot)
        self._write(self._read() | {"committed": committed, "trial": slot, "tries": str(tries)})

    def _commit(self, slot: str) -> None:
        self._write(self._read() | {"committed": slot, "trial": "", "tries": ""})

    def _folder(self) -> Path:
        configured = self.context.options.get("folder", "")
        return Path(configured) if configured else self.context.folder

    def _read(self) -> dict[str, str]:
        path = self._folder() / STATE_FILE
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode("ascii", "replace")
        except FileNotFoundError:
            return dict(_FACTORY)
        except OSError as error:
            raise SlotError(f"{path}: cannot be read: {error.strerror}") from error
        state = {name: decode(text).get(name, "") for name in _FACTORY}
        if {state["committed"], state["booted"], state["trial"] or "a"} - {"a", "b"} or (
            state["tries"] not in {"", "0", "1", "2", "3"}
        ):
            raise SlotError(f"{path}: expected the state of a boot loader, got {text[:120]!a}")
        return state

    def _write(self, state: dict[str, str]) -> None:
        try:
            self.context.write_file(self._folder() / STATE_FILE, script(state))
        except StoreError as error:
            raise SlotError(str(error)) from error


slot_backend_class = DirectoryBackend
