"""U-Boot's environment as two plain copies, written by the real fw_setenv."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.contract.boot_loaders.uboot import ENV_BYTES, environment, read_copy
from tests.powercut import boot_story
from tests.powercut.story import Mark, require

from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotContext
from vedette.slots.uboot import UbootBackend
from vedette.store import durable


def refusal() -> str:
    """Why this machine cannot play it."""
    return "" if shutil.which("fw_setenv") else "needs fw_setenv (libubootenv-tool)"


def prepare(folder: Path) -> None:
    """As the device left the factory."""
    (folder / "environment").write_bytes(environment({"bslot": "a", "rolledback": "0"}) * 2)


def play(folder: Path, mark: Mark) -> None:
    """Trials, commits, a way back."""
    with boot_story.recorded_tool("fw_setenv") as tool:
        boot_story.play(_backend(folder, fw_setenv=tool), mark)


def check(folder: Path, marks: Sequence[str]) -> None:
    """What the boot script reads is one of the plans that may be there."""
    boot_story.check(_backend(folder), lambda: _plan(folder), marks)


def _plan(folder: Path) -> BootPlan:
    """As the boot script: the first copy, or the second where the first one's CRC is wrong."""
    values = read_copy(folder / "environment", 0)
    if values is None:
        values = read_copy(folder / "environment", 1)
    require(values is not None, "both copies are torn")
    values = values or {}
    trial = values.get("tslot", "")
    return BootPlan(values.get("bslot", "a"), trial, int(values["tries"]) if trial else 0)


def _backend(folder: Path, **more: str) -> UbootBackend:
    configs = [folder / "fw_env.config", folder / "fw_env1.config"]
    for number, config in enumerate(configs):
        config.write_text(f"{folder / 'environment'} {number * ENV_BYTES:#x} {ENV_BYTES:#x}\n")
    options = {"style": "copies", "config": str(configs[0]), "config_second": str(configs[1])}
    return UbootBackend(SlotContext(folder, durable.write, options | more))
