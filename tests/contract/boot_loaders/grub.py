"""GRUB as packaging/boot/grub-slots.cfg has it do, by the real grub-editenv."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.contract.boot_loaders.boot_loader import BootLoader
from tests.contract.boot_loaders.directory import refuse_to_write

from vedette.ports.slot_backend import SlotContext
from vedette.slots.grub import GrubBackend
from vedette.store import durable


class Grub(BootLoader):
    """An environment block; `boot` writes it in place, as save_env does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._block, self._cmdline = folder / "grubenv", folder / "cmdline"
        self._edit("create")
        self._edit("set", "vedette_slot=a", "saved_entry=other stuff")
        self._write = durable.write
        self.boot()

    @classmethod
    def refusal(cls) -> str:
        return "" if shutil.which("grub-editenv") else "needs grub-editenv (grub-common)"

    def backend(self) -> GrubBackend:
        options = {
            "environment": str(self._block), "command_line": str(self._cmdline),
            "slot_a": str(self.folder / "slot-a"), "slot_b": str(self.folder / "slot-b"),
        }  # fmt: skip
        return GrubBackend(SlotContext(self.folder, self._write, options))

    def boot(self) -> None:
        values = self.listed()
        slot = values["vedette_slot"]
        left = {"3": "2", "2": "1", "1": "0"}.get(values.get("vedette_tries", ""))
        if values.get("vedette_trial"):
            if left is not None:
                slot = values["vedette_trial"]
                self._edit("set", f"vedette_tries={left}")
            else:
                self._edit("set", "vedette_trial=", "vedette_tries=")
        self._cmdline.write_text(f"root=/dev/sda2 quiet slot={slot} panic=5\n")

    def listed(self) -> dict[str, str]:
        """What GRUB's own tool reads."""
        said = self._edit("list")
        pairs = (line.partition("=") for line in said.splitlines())
        return {name: value for name, _, value in pairs}

    def damage(self) -> bool:
        self._block.write_bytes(os.urandom(1024))
        return True

    def refuse(self) -> None:
        self._write = refuse_to_write

    def allow(self) -> None:
        self._write = durable.write

    def _edit(self, *words: str) -> str:
        argv = ["grub-editenv", str(self._block), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


boot_loaders = (Grub,)
