"""Where partitions lie, and what the boot loader reads of them."""

import zlib

import pytest

from vedette.errors import ParseError, RequestError
from vedette_dev.cache import REPOSITORY
from vedette_dev.images import environment
from vedette_dev.images.boot_script import image, text
from vedette_dev.images.build import SLOTS_SCRIPT
from vedette_dev.images.layout import ENVIRONMENT_BYTES, MIB, layout, sfdisk_script
from vedette_dev.images.target import ARCHES, target

TEMPLATE = (REPOSITORY / "qemu-images/boot/boot.cmd").read_text()


@pytest.mark.parametrize("slot_bytes", [1, MIB, 288 * MIB, 288 * MIB + 1])
def test_partitions_lie_one_behind_the_other_and_hold_what_was_asked(slot_bytes: int) -> None:
    disk = layout(slot_bytes, 5 * MIB)
    end = 0
    for number, one in enumerate(disk.partitions, start=1):
        assert one.number == number
        assert one.start_bytes >= end
        assert one.start_bytes % MIB == one.size_bytes % MIB == 0
        end = one.start_bytes + one.size_bytes
    assert disk.slot_a.size_bytes == disk.slot_b.size_bytes >= slot_bytes
    assert disk.size_bytes - end >= MIB  # the second table
    assert (disk.slot("a"), disk.slot("b")) == (disk.slot_a, disk.slot_b)


def test_a_table_names_every_partition_by_its_sectors() -> None:
    script = sfdisk_script(layout(3 * MIB, MIB))
    assert (
        'start=2048, size=32768, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="boot"' in script
    )
    for line in (
        'start=34816, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="uboot-env"',
        'start=36864, size=6144, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="rootfs-a"',
        'start=43008, size=6144, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="rootfs-b"',
        'start=49152, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="data"',
    ):
        assert line in script


def test_both_copies_of_the_environment_are_where_the_tools_of_the_device_look() -> None:
    disk = layout(MIB)
    for number, name in enumerate(("fw_env.config", "fw_env1.config")):
        words = (REPOSITORY / "qemu-images/root/etc" / name).read_text().split()
        assert words[0] == f"/dev/disk/by-partlabel/{disk.environment.name}"
        assert disk.environment.start_bytes + int(words[1], 16) == disk.environment_copy(number)
        assert int(words[2], 16) == ENVIRONMENT_BYTES


def test_an_environment_reads_back() -> None:
    values = {"bslot": "a", "tslot": "b", "tries": "3"}
    copy = environment.encode({**values, "rolledback": ""})
    assert len(copy) == 4096
    assert environment.decode(copy) == values


@pytest.mark.parametrize("place", [0, 3, 4, 100, 4095])
def test_a_torn_copy_of_the_environment_is_none(place: int) -> None:
    copy = bytearray(environment.encode(environment.FACTORY))
    copy[place] ^= 1
    assert environment.decode(bytes(copy)) is None


def test_an_environment_has_a_size() -> None:
    environment.encode({"name": "x" * (4096 - 4 - 1 - len("name=") - 1)})
    with pytest.raises(ParseError, match="at most 4091 bytes"):
        environment.encode({"name": "x" * 4092})


@pytest.mark.parametrize("arch", ARCHES)
def test_a_boot_script_says_where_its_own_machine_has_everything(arch: str) -> None:
    disk, machine = layout(288 * MIB), target(arch)
    script = text(TEMPLATE, SLOTS_SCRIPT.read_text(), machine, disk)
    lines = script.splitlines()
    assert f"setenv slots_part {disk.environment.number}" in lines
    second = disk.environment_copy(1) // 512
    assert f"setenv slots_second_default {second:x}" in lines
    assert f"setenv root_part {disk.slot_a.number}" in lines
    assert machine.start in script
    assert f"console={machine.console}" in script
    assert SLOTS_SCRIPT.read_text().strip() in script


def test_a_template_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(ParseError, match="@KERNAL@"):
        text("load @KERNAL@\n", "", target("arm64"), layout(MIB))


def test_a_script_has_the_header_that_u_boot_checks() -> None:
    made = image("echo hello\n")
    assert made[:4] == bytes.fromhex("27051956")
    bare = made[:4] + bytes(4) + made[8:64]
    assert int.from_bytes(made[4:8]) == zlib.crc32(bare)
    assert int.from_bytes(made[12:16]) == len(made) - 64
    assert int.from_bytes(made[24:28]) == zlib.crc32(made[64:])
    assert made[30] == 6  # a script
    assert int.from_bytes(made[64:68]) == len("echo hello\n")
    assert made[72:] == b"echo hello\n"


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="expected amd64, arm64, armhf, got 'mips'"):
        target("mips")
