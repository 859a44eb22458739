"""U-Boot in both styles, by the real fw_setenv and fw_printenv on an environment in a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.contract.boot_loaders.boot_loader import BootLoader

from vedette.ports.slot_backend import SlotContext
from vedette.slots.uboot import UbootBackend
from vedette.store import durable
from vedette_dev.images.environment import FACTORY, decode, encode
from vedette_dev.images.layout import ENVIRONMENT_BYTES


class Copies(BootLoader):
    """Two plain copies, each with its own configuration; `boot` is the boot script's logic."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment, self._cmdline = folder / "environment", folder / "cmdline"
        self.environment.write_bytes(encode(FACTORY) * 2)
        for number, config in enumerate(self._configs()):
            offset = number * ENVIRONMENT_BYTES
            config.write_text(f"{self.environment} {offset:#x} {ENVIRONMENT_BYTES:#x}\n")
        self._options: dict[str, str] = {}
        self.boot()

    @classmethod
    def refusal(cls) -> str:
        return "" if shutil.which("fw_setenv") else "needs fw_setenv (libubootenv-tool)"

    def backend(self) -> UbootBackend:
        first, second = map(str, self._configs())
        options = {
            "style": "copies", "config": first, "config_second": second,
            "command_line": str(self._cmdline), "slot_a": str(self.folder / "slot-a"),
            "slot_b": str(self.folder / "slot-b"), **self._options,
        }  # fmt: skip
        return UbootBackend(SlotContext(self.folder, durable.write, options))

    def boot(self) -> None:
        copies = self.environment.read_bytes()
        values = decode(copies) or decode(copies[ENVIRONMENT_BYTES:]) or {}
        slot = values.get("bslot", "a")
        left = {"3": "2", "2": "1", "1": "0"}.get(values.get("tries", ""))
        if values.get("tslot"):
            if left is not None:
                slot, values["tries"] = values["tslot"], left
            else:
                values |= {"tslot": "", "tries": "", "rolledback": "1"}
            self.environment.write_bytes(encode(values) * 2)
        self._cmdline.write_text(f"root=/dev/vda3 slot={slot} panic=5\n")

    def damage(self) -> bool:
        self.environment.write_bytes(os.urandom(2 * ENVIRONMENT_BYTES))
        return True

    def refuse(self) -> None:
        self._options["fw_setenv"] = str(
            _script(self.folder / "full", "echo disk full >&2; exit 1")
        )

    def allow(self) -> None:
        self._options.clear()

    def lie(self) -> bool:
        self._options["fw_setenv"] = str(_script(self.folder / "liar", "cat > /dev/null; exit 0"))
        return True

    def _configs(self) -> tuple[Path, Path]:
        return self.folder / "fw_env.config", self.folder / "fw_env1.config"


class Bootcount(BootLoader):
    """U-Boot's own boot count, with a redundant environment of libubootenv's form."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._config, self._cmdline = folder / "fw_env.config", folder / "cmdline"
        self._environment = folder / "environment"
        source = folder / "factory.txt"
        source.write_text("boot_slot=a\nupgrade_available=0\nbootcount=0\nbootlimit=3\n")
        argv = [
            "mkenvimage",
            "-r",
            "-s",
            str(ENVIRONMENT_BYTES),
            "-o",
            str(folder / "one"),
            str(source),
        ]
        subprocess.run(argv, check=True, capture_output=True)
        self._environment.write_bytes((folder / "one").read_bytes() * 2)
        self._config.write_text(
            f"{self._environment} 0x0 {ENVIRONMENT_BYTES:#x}\n"
            f"{self._environment} {ENVIRONMENT_BYTES:#x} {ENVIRONMENT_BYTES:#x}\n"
        )
        self._options: dict[str, str] = {}
        self.boot()

    @classmethod
    def refusal(cls) -> str:
        tools = ("fw_setenv", "mkenvimage")
        missing = [tool for tool in tools if not shutil.which(tool)]
        return f"needs {', '.join(missing)}" if missing else ""

    def backend(self) -> UbootBackend:
        options = {
            "style": "bootcount", "config": str(self._config),
            "command_line": str(self._cmdline), "slot_a": str(self.folder / "slot-a"),
            "slot_b": str(self.folder / "slot-b"), **self._options,
        }  # fmt: skip
        return UbootBackend(SlotContext(self.folder, durable.write, options))

    def boot(self) -> None:
        values = self._printed()
        slot = values["boot_slot"]
        if values.get("upgrade_available") == "1":  # CONFIG_BOOTCOUNT_ENV counts only then
            count = int(values["bootcount"]) + 1
            changes = [("bootcount", str(count))]
            if count > int(values["bootlimit"]):  # altbootcmd
                slot = "a" if slot == "b" else "b"
                changes = [("boot_slot", slot), ("upgrade_available", "0"), ("bootcount", "0")]
            for name, value in changes:
                subprocess.run(["fw_setenv", "-c", self._config, name, value], check=True)
        self._cmdline.write_text(f"slot={slot}\n")

    def damage(self) -> bool:
        self._environment.write_bytes(os.urandom(2 * ENVIRONMENT_BYTES))
        return True

    def refuse(self) -> None:
        self._options["fw_setenv"] = str(_script(self.folder / "full", "exit 1"))

    def allow(self) -> None:
        self._options.clear()

    def lie(self) -> bool:
        self._options["fw_setenv"] = str(_script(self.folder / "liar", "cat > /dev/null; exit 0"))
        return True

    def _printed(self) -> dict[str, str]:
        argv = ["fw_printenv", "-c", str(self._config)]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        return dict(line.split("=", 1) for line in said.splitlines())


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


boot_loaders = (Copies, Bootcount)
