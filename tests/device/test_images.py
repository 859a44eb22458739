"""The images themselves: what is mounted how, what is kept, and what the boot script does.

The script is run by the real U-Boot; most of it is judged by what it says and leaves on the disk,
before there is a kernel: that takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.device._starts import LOADER_S, backend, python, started
from tests.device._torn import tear

from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image, disk
from vedette_dev.images.environment import FACTORY

pytestmark = pytest.mark.device

TORN = 512
ARMED = {"bslot": "a", "tslot": "b", "tries": "3"}
MARKS = """
import os, subprocess
from vedette.daemon.config import WATCHED
from vedette.sensors._fanotify_group import FEATURES, _MASK
from vedette.sensors._libc import FanotifyCalls
calls = FanotifyCalls()
flags, renames = FEATURES[1]
def mark(tree):
    group = calls.init(flags)
    try:
        calls.mark_filesystem(group, _MASK | renames, tree)
    except OSError as error:
        return error.strerror
    finally:
        os.close(group)
    return "taken"
for tree in WATCHED:
    if os.path.isdir(tree):
        print(tree, mark(tree))
"""
OVERLAY = (
    "mkdir -p /tmp/o/up /tmp/o/work /tmp/o/all && modprobe overlay && "
    "mount -t overlay overlay -o lowerdir=/etc,upperdir=/tmp/o/up,workdir=/tmp/o/work /tmp/o/all"
)


@pytest.fixture(scope="module")
def guest(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A device from the factory, booted once."""
    with Guest(image, tmp_path_factory.mktemp("guest")) as guest:
        guest.boot()
        yield guest


@pytest.fixture
def bare(image: Image, tmp_path: Path) -> Iterator[Guest]:
    """A device that is off, with a firmware in each slot."""
    with Guest(image, tmp_path / "guest") as guest:
        disk.put(guest.disk, image.layout.slot_b, image.slot_image)
        yield guest


def _copies(guest: Guest) -> tuple[dict[str, str] | None, dict[str, str] | None]:
    layout = guest.image.layout
    return (
        disk.read_environment(guest.disk, layout, 0),
        disk.read_environment(guest.disk, layout, 1),
    )


def _write(guest: Guest, values: Mapping[str, str]) -> None:
    disk.write_environment(guest.disk, guest.image.layout, values)


def _tear(guest: Guest, *copies: int) -> None:
    for copy in copies:
        tear(guest.disk, guest.image.layout.environment_copy(copy), TORN)


def test_the_firmware_cannot_be_written_to(guest: Guest) -> None:
    assert guest.slot() == "a"
    for place in ("/etc", "/usr/bin", "/var/lib"):
        ended = guest.run(f"touch {place}/vedette-was-here")
        assert ended.code != 0
        assert "Read-only file system" in ended.output
    for place in ("/etc/vedette", "/var/lib/vedette", "/root", "/home", "/tmp", "/var/tmp"):
        guest.check(f"touch {place}/vedette-was-here && rm {place}/vedette-was-here")


def test_every_watched_tree_takes_a_fanotify_mark(guest: Guest) -> None:
    rows = dict(line.split(" ", 1) for line in python(guest, MARKS).splitlines())
    assert {"/etc", "/root", "/home", "/usr/bin", "/tmp", "/var/tmp", "/dev/shm"} <= rows.keys()
    assert set(rows.values()) == {"taken"}, rows


def test_an_overlay_would_have_refused_it(guest: Guest) -> None:
    guest.check(OVERLAY)
    try:
        said = python(guest, f"{MARKS}\nprint('overlay', mark('/tmp/o/all'))")
    finally:
        guest.check("umount /tmp/o/all")
    assert "overlay Operation not supported" in said


def test_what_is_on_the_data_partition_outlives_a_reboot(guest: Guest) -> None:
    machine = guest.check("cat /etc/machine-id").strip()
    assert re.fullmatch("[0-9a-f]{32}", machine)
    guest.check("echo kept > /var/lib/vedette/probe; echo lost > /tmp/probe; sync")
    guest.reboot()
    assert guest.check("cat /var/lib/vedette/probe") == "kept\n"
    assert guest.run("cat /tmp/probe").code != 0
    assert guest.check("cat /etc/machine-id").strip() == machine


def test_no_image_holds_what_is_one_device_s_own(image: Image, guest: Guest) -> None:
    for slot, data in ((image.slot_image.read_bytes(), guest.check("cat /data/machine-id")),):
        assert data.strip().encode() not in slot
    assert guest.check("findmnt -n -o SOURCE /etc/machine-id || grep machine-id /proc/mounts")
    assert disk.read_environment(image.disk, image.layout, 0) == FACTORY


def test_a_new_device_starts_slot_a(bare: Guest) -> None:
    assert started(bare) == ("a", "")
    assert _copies(bare) == (FACTORY, FACTORY)  # nothing to count: nothing is written


def test_a_trial_that_nobody_commits_is_tried_three_times(bare: Guest) -> None:
    _write(bare, ARMED)
    assert [started(bare) for _ in range(5)] == [
        ("b", "2"), ("b", "1"), ("b", "0"), ("a", ""), ("a", ""),
    ]  # fmt: skip
    assert _copies(bare) == ({"bslot": "a", "rolledback": "1"},) * 2


def test_a_trial_counts_before_its_kernel_starts(bare: Guest) -> None:
    _write(bare, ARMED)
    started(bare)
    assert _copies(bare) == ({**ARMED, "tries": "2"},) * 2


@pytest.mark.parametrize("copy", [0, 1], ids=["the first", "the second"])
def test_one_torn_copy_changes_nothing(copy: int, bare: Guest) -> None:
    _write(bare, {"bslot": "b"})
    _tear(bare, copy)
    assert started(bare) == ("b", "")
    _write(bare, ARMED)
    _tear(bare, copy)
    assert [started(bare) for _ in range(2)] == [("b", "2"), ("b", "1")]
    assert _copies(bare) == ({**ARMED, "tries": "1"},) * 2  # and it is whole again


def test_without_any_whole_copy_slot_a_starts(bare: Guest) -> None:
    _write(bare, {"bslot": "b"})
    _tear(bare, 0, 1)
    assert started(bare) == ("a", "")


def test_a_slot_that_holds_no_firmware_costs_its_tries_and_nothing_else(
    image: Image, tmp_path: Path
) -> None:
    with Guest(image, tmp_path / "guest") as guest:  # slot b is empty
        _write(guest, {**ARMED, "tries": "1"})
        guest.launch()
        guest.await_line("vedette: slot b cannot be started", LOADER_S)
        guest.await_reset(LOADER_S)
        assert started(guest) == ("a", "")


def test_a_try_that_cannot_be_counted_is_not_made(image: Image, tmp_path: Path) -> None:
    with Guest(image, tmp_path / "made") as made:
        disk.put(made.disk, image.layout.slot_b, image.slot_image)
        _write(made, ARMED)
        settings = GuestSettings(disk_url=f"{made.disk},readonly=on")
        with Guest(image, tmp_path / "guest", settings) as guest:
            assert started(guest) == ("a", "2")
        assert _copies(made) == (ARMED, ARMED)


def test_our_back_end_arms_and_commits_what_u_boot_starts(bare: Guest) -> None:
    bare.boot()
    assert bare.slot() == "a"
    backend(bare, "uboot", "backend.arm('b')")
    bare.reboot()
    assert bare.slot() == "b"
    assert backend(bare, "uboot", "backend.booted(), backend.plan()") == (
        "b BootPlan(committed='a', trial='b', tries_left=2)"
    )
    backend(bare, "uboot", "backend.commit('b')")
    bare.shut_down()
    assert [started(bare) for _ in range(2)] == [("b", ""), ("b", "")]
