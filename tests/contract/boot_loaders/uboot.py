"""U-Boot in both styles, by the real fw_setenv and fw_printenv on an environment in a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from pathlib import Path

from tests.contract.boot_loaders.boot_loader import BootLoader

from vedette.ports.slot_backend import SlotContext
from vedette.slots.uboot import UbootBackend
from vedette.store import durable

ENV_BYTES = 4096


class Copies(BootLoader):
    """Two plain copies, each with its own configuration; `boot` is the boot script's logic."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment, self._cmdline = folder / "environment", folder / "cmdline"
        self.environment.write_bytes(environment({"bslot": "a", "rolledback": "0"}) * 2)
        for number, config in enumerate(self._configs()):
            offset = number * ENV_BYTES
            config.write_text(f"{self.environment} {offset:#x} {ENV_BYTES:#x}\n")
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
        values = read_copy(self.environment, 0)
        if values is None:
            values = read_copy(self.environment, 1) or {}
        slot = values.get("bslot", "a")
        left = {"3": "2", "2": "1", "1": "0"}.get(values.get("tries", ""))
        if values.get("tslot"):
            if left is not None:
                slot, values["tries"] = values["tslot"], left
            else:
                values |= {"tslot": "", "tries": "", "rolledback": "1"}
            self.environment.write_bytes(environment(values) * 2)
        self._cmdline.write_text(f"root=/dev/vda3 slot={slot} panic=5\n")

    def damage(self) -> bool:
        self.environment.write_bytes(os.urandom(2 * ENV_BYTES))
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
        argv = ["mkenvimage", "-r", "-s", str(ENV_BYTES), "-o", str(folder / "one"), str(source)]
        subprocess.run(argv, check=True, capture_output=True)
        self._environment.write_bytes((folder / "one").read_bytes() * 2)
        self._config.write_text(
            f"{self._environment} 0x0 {ENV_BYTES:#x}\n"
            f"{self._environment} {ENV_BYTES:#x} {ENV_BYTES:#x}\n"
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
        self._environment.write_bytes(os.urandom(2 * ENV_BYTES))
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


def environment(values: dict[str, str]) -> bytes:
    """A plain copy, as `env export -c` makes it: CRC-32 (little endian), then what it covers."""
    lines = b"".join(
        f"{name}={value}\0".encode() for name, value in sorted(values.items()) if value
    )
    data = (lines + b"\0").ljust(ENV_BYTES - 4, b"\0")
    return zlib.crc32(data).to_bytes(4, "little") + data


def read_copy(path: Path, number: int) -> dict[str, str] | None:
    """A plain copy, as `env import -c` reads it; None where its CRC is wrong."""
    copy = path.read_bytes()[number * ENV_BYTES :][:ENV_BYTES]
    if zlib.crc32(copy[4:]).to_bytes(4, "little") != copy[:4]:
        return None
    lines = copy[4 : copy.index(b"\0\0", 4)].split(b"\0")
    pairs = (line.decode().partition("=") for line in lines)
    return {name: value for name, _, value in pairs if name}


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


boot_loaders = (Copies, Bootcount)
