"""U-Boot's environment with libubootenv's own redundancy, written by the real fw_setenv."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.powercut import boot_story
from tests.powercut.story import Mark

from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotContext
from vedette.slots.uboot import UbootBackend
from vedette.store import durable
from vedette_dev.images.layout import ENVIRONMENT_BYTES

_FACTORY = "boot_slot=a\nupgrade_available=0\nbootcount=0\nbootlimit=3\n"


def refusal() -> str:
    """Why this machine cannot play it."""
    missing = [tool for tool in ("fw_setenv", "mkenvimage") if not shutil.which(tool)]
    return f"needs {', '.join(missing)}" if missing else ""


def prepare(folder: Path) -> None:
    """As the device left the factory."""
    text, one = folder / "factory", folder / "one"
    text.write_text(_FACTORY)
    argv = ["mkenvimage", "-r", "-s", str(ENVIRONMENT_BYTES), "-o", str(one), str(text)]
    subprocess.run(argv, check=True, capture_output=True)
    (folder / "environment").write_bytes(one.read_bytes() * 2)


def play(folder: Path, mark: Mark) -> None:
    """Trials, commits, a way back."""
    with boot_story.recorded_tool("fw_setenv") as tool:
        boot_story.play(_backend(folder, fw_setenv=tool), mark)


def check(folder: Path, marks: Sequence[str]) -> None:
    """What fw_printenv reads, which chooses as U-Boot does, is one of the plans that may be."""
    boot_story.check(_backend(folder), lambda: _plan(folder), marks)


def _plan(folder: Path) -> BootPlan:
    """What U-Boot does with these variables: slot, tries, and the other slot after them."""
    argv = ["fw_printenv", "-c", str(folder / "fw_env.config")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    values = dict(line.split("=", 1) for line in said.splitlines())
    slot = values["boot_slot"]
    if values["upgrade_available"] != "1":
        return BootPlan(slot)
    left = int(values["bootlimit"]) - int(values["bootcount"])
    return BootPlan("a" if slot == "b" else "b", slot, left)


def _backend(folder: Path, **more: str) -> UbootBackend:
    config = folder / "fw_env.config"
    copies = [
        f"{folder / 'environment'} {offset:#x} {ENVIRONMENT_BYTES:#x}\n"
        for offset in (0, ENVIRONMENT_BYTES)
    ]
    config.write_text("".join(copies))
    options = {"style": "bootcount", "config": str(config)}
    return UbootBackend(SlotContext(folder, durable.write, options | more))
