"""GRUB's environment block, written anew and renamed, read by the real grub-editenv."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.powercut import boot_story
from tests.powercut.story import Mark

from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import SlotContext
from vedette.slots.grub import GrubBackend
from vedette.store import durable


def refusal() -> str:
    """Why this machine cannot play it."""
    return "" if shutil.which("grub-editenv") else "needs grub-editenv (grub-common)"


def prepare(folder: Path) -> None:
    """As the device left the factory, with a variable of somebody else."""
    for words in (["create"], ["set", "vedette_slot=a", "saved_entry=other stuff"]):
        subprocess.run(["grub-editenv", folder / "grubenv", *words], check=True)


def play(folder: Path, mark: Mark) -> None:
    """Trials, commits, a way back."""
    boot_story.play(_backend(folder), mark)


def check(folder: Path, marks: Sequence[str]) -> None:
    """What GRUB's own tool reads is one of the plans that may be there."""
    boot_story.check(_backend(folder), lambda: _plan(folder), marks)


def _plan(folder: Path) -> BootPlan:
    argv = ["grub-editenv", str(folder / "grubenv"), "list"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    values = dict(line.split("=", 1) for line in said.splitlines())
    trial = values.get("vedette_trial", "")
    return BootPlan(values["vedette_slot"], trial, int(values["vedette_tries"]) if trial else 0)


def _backend(folder: Path) -> GrubBackend:
    options = {"environment": str(folder / "grubenv")}
    return GrubBackend(SlotContext(folder, durable.write, options))
