"""U-Boot's environment as two plain copies, written by the real fw_setenv."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.powercut import boot_story
from tests.powercut.story import Mark, require

from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotContext
from vedette.slots.uboot import UbootBackend
from vedette.store import durable
from vedette_dev.images.environment import FACTORY, decode, encode
from vedette_dev.images.layout import ENVIRONMENT_BYTES


def refusal() -> str:
    """Why this machine cannot play it."""
    return "" if shutil.which("fw_setenv") else "needs fw_setenv (libubootenv-tool)"


def prepare(folder: Path) -> None:
    """As the device left the factory."""
    (folder / "environment").write_bytes(encode(FACTORY) * 2)


def play(folder: Path, mark: Mark) -> None:
    """Trials, commits, a way back."""
    with boot_story.recorded_tool("fw_setenv") as tool:
        boot_story.play(_backend(folder, fw_setenv=tool), mark)


def check(folder: Path, marks: Sequence[str]) -> None:
    """What the boot script reads is one of the plans that may be there."""
    boot_story.check(_backend(folder), lambda: _plan(folder), marks)


def _plan(folder: Path) -> BootPlan:
    """As the boot script: the first copy, or the second where the first one's CRC is wrong."""
    copies = (folder / "environment").read_bytes()
    values = decode(copies)
    if values is None:
        values = decode(copies[ENVIRONMENT_BYTES:])
    require(values is not None, "both copies are torn")
    values = values or {}
    trial = values.get("tslot", "")
    return BootPlan(values.get("bslot", "a"), trial, int(values["tries"]) if trial else 0)


def _backend(folder: Path, **more: str) -> UbootBackend:
    configs = [folder / "fw_env.config", folder / "fw_env1.config"]
    for number, config in enumerate(configs):
        config.write_text(
            f"{folder / 'environment'} {number * ENVIRONMENT_BYTES:#x} {ENVIRONMENT_BYTES:#x}\n"
        )
    options = {"style": "copies", "config": str(configs[0]), "config_second": str(configs[1])}
    return UbootBackend(SlotContext(folder, durable.write, options | more))
