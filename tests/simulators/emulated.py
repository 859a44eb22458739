"""A guest whose QEMU is tests/simulators/emulator.py, and an operator who hears all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vedette_dev.cache import REPOSITORY
from vedette_dev.device import starts
from vedette_dev.guests import Guest, guest, standstill
from vedette_dev.images import Image
from vedette_dev.images import tools as programs
from vedette_dev.images.layout import Layout
from vedette_dev.player import Arrival, Arrivals

EMULATOR = REPOSITORY / "tests/simulators/emulator.py"


class HearsAll(Arrivals):
    """An operator to whom whatever is waited for has come."""

    def wait_for(
        self,
        fits: Callable[[Arrival], bool],  # noqa: ARG002
        timeout_s: float,  # noqa: ARG002
        *,
        since: int = 0,  # noqa: ARG002
    ) -> Arrival | None:
        return Arrival(0.0, {})


@contextmanager
def emulated(
    disk: Path, where: Layout, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Guest]:
    """A guest that is given up soon, with this disk; its plan is a file of its folder."""
    programs_folder = folder / "bin"
    programs_folder.mkdir()
    for name, text in (
        ("qemu-system-x86_64", f'exec {sys.executable} {EMULATOR} "$@"'),
        ("socat", "exit 1"),
    ):
        (programs_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs_folder / name).chmod(0o755)
    monkeypatch.setattr(programs, "_PATH", f"{programs_folder}:/usr/bin:/bin")
    monkeypatch.setattr(guest, "_SLICE_S", 0.2)
    monkeypatch.setattr(standstill, "BETWEEN_LOOKS_S", 0.0)
    monkeypatch.setattr(starts, "STILL_S", 0.5)
    image = Image("amd64", disk, disk, where, "grub")
    with Guest(image, folder / "guest") as made:
        yield made
