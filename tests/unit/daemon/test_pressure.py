"""Disk and memory: told when they become short, once, and again only after they were not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.daemon.pressure import Pressure

CALM = "some avg10=9.00 x\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
PRESSED = CALM.replace("full avg10=1.00", "full avg10=25.00")
EASING = CALM.replace("full avg10=1.00", "full avg10=9.00")
ENOUGH = "MemTotal: 64000 kB\nMemAvailable: 32000 kB\n"
SCARCE = "MemTotal: 64000 kB\nMemAvailable: 1900 kB\n"


class Device:
    """What a kernel would say, in two files."""

    def __init__(self, folder: Path) -> None:
        self.psi, self.meminfo = folder / "psi", folder / "meminfo"
        self.psi.write_text(CALM)
        self.meminfo.write_text(ENOUGH)
        self.pressure = Pressure(folder, self.psi, self.meminfo)

    def begun(self) -> list[str]:
        return [found.condition for found in self.pressure.begun()]


def test_memory_that_everything_waits_for_is_told_until_it_has_clearly_eased(
    tmp_path: Path,
) -> None:
    device = Device(tmp_path)
    assert device.begun() == []
    for text, told in (
        (PRESSED, ["memory-pressed"]), (PRESSED, []), (EASING, []), (PRESSED, []), (CALM, []),
        (EASING, []), (PRESSED, ["memory-pressed"]),
    ):  # fmt: skip
        device.psi.write_text(text)
        assert device.begun() == told, text


def test_scarce_memory_is_told_where_the_kernel_has_no_psi(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.psi.unlink()
    assert device.begun() == []
    device.meminfo.write_text(SCARCE)
    (found,) = device.pressure.begun()
    assert found.condition == "memory-pressed"
    assert "left" in found.detail


def test_what_the_kernel_does_not_say_is_not_pressed(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.psi.write_text("nonsense")
    device.meminfo.write_text("nonsense")
    assert device.begun() == []


@pytest.mark.parametrize("short", ["blocks", "files"])
def test_a_disk_that_is_filled_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: str
) -> None:
    device = Device(tmp_path)
    real = os.statvfs(tmp_path)
    fields = {name: getattr(real, name) for name in ("f_frsize", "f_bavail", "f_files", "f_favail")}
    fields.update({"f_bavail": 10} if short == "blocks" else {"f_files": 100, "f_favail": 3})
    monkeypatch.setattr(os, "statvfs", lambda _: type("Sizes", (), fields))
    (found,) = device.pressure.begun()
    assert found.condition == "disk-full"
    assert str(tmp_path) in found.detail
    assert device.begun() == []
