"""Facts about the device: good, bad and unknown, each with what to do."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from vedette.daemon import health
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.firmware_options import BACKENDS


def meminfo(available_kb: int) -> str:
    return f"MemTotal:  512000 kB\nMemFree: 1 kB\nMemAvailable: {available_kb} kB\n"


@pytest.mark.parametrize(
    ("text", "is_good", "found"),
    [
        (meminfo(312_000), True, "319 MB of 524 MB available"),
        (meminfo(20_000), False, "20 MB of 524 MB available"),
        ("", False, "unknown"),
        ("MemTotal: x kB\nMemAvailable:\n", False, "unknown"),
    ],
)
def test_memory(text: str, is_good: bool, found: str) -> None:  # noqa: FBT001
    fact = health.memory(text)
    assert (fact.is_good, fact.found) == (is_good, found)
    assert bool(fact.advice) is not is_good


@pytest.mark.parametrize(
    ("kind", "options", "advice"),
    [
        ("ext4", "rw", ""),
        ("ubifs", "rw", ""),
        ("ext4", "ro", "read-only"),
        ("tmpfs", "rw", "gone after a reboot"),
        ("overlay", "rw", "gone after a reboot"),
        ("vfat", "rw", "keeps no owners"),
    ],
)
def test_flash(kind: str, options: str, advice: str, tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 0 {device} / / {options} - {kind} /dev/x {options}\n")
    fact = health.flash(tmp_path / "not" / "yet", 0, mountinfo)
    assert f"({kind})" in fact.found
    assert advice in fact.advice
    assert fact.is_good is not bool(advice)


def test_flash_without_room_for_the_journal(tmp_path: Path) -> None:
    fact = health.flash(tmp_path, 2**62, tmp_path / "none")
    assert not fact.is_good
    assert "lower [journal] max_mb" in fact.advice
    assert "unknown file system" in fact.found


@pytest.mark.parametrize(
    ("wall_s", "synchronised", "is_good"),
    [
        (0.0, True, False),
        (BUILD_S + 1, True, True),
        (BUILD_S + 1, False, False),
        (BUILD_S + 1, None, True),
    ],
)
def test_clock(wall_s: float, synchronised: bool | None, is_good: bool) -> None:  # noqa: FBT001
    fact = health.clock(wall_s, synchronised)
    assert fact.is_good is is_good
    assert bool(fact.advice) is not is_good


def test_kernel_options_come_from_proc_or_boot_or_nowhere(tmp_path: Path) -> None:
    assert health.kernel_options("6.1", [tmp_path]) is None
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/config-6.1").write_text("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n")
    assert health.kernel_options("6.1", [tmp_path]) == frozenset({"CONFIG_A", "CONFIG_C"})
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/config.gz").write_bytes(b"\x1f\x8bbroken")
    assert health.kernel_options("6.1", [tmp_path]) == frozenset({"CONFIG_A", "CONFIG_C"})
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(b"CONFIG_D=y\n"))
    assert health.kernel_options("6.1", [tmp_path]) == frozenset({"CONFIG_D"})


def test_missing_kernel_options_are_named_with_what_they_give() -> None:
    assert health.kernel("6.1", frozenset(health.KERNEL_OPTIONS)).is_good
    assert health.kernel("6.1", None).is_good
    fact = health.kernel("6.1", frozenset(health.KERNEL_OPTIONS) - {"CONFIG_PROC_EVENTS"})
    assert fact.advice == "CONFIG_PROC_EVENTS gives process events by the proc connector"


def test_a_round_over_this_machine_finishes() -> None:
    names = [fact.name for fact in health.facts(Config())]
    assert names == ["user", "memory", "flash", "clock", "kernel", "trees", "firmware"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_back_end_that_nobody_saw_on_a_booted_device_is_called_experimental(backend: str) -> None:
    fact = health.firmware(backend)
    assert fact.is_good is (backend not in {"grub", "rauc"})
    assert ("experimental" in fact.found) is not fact.is_good
    assert backend in fact.found
