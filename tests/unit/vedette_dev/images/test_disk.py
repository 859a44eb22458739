"""What is written where on a disk, without a tool."""

from pathlib import Path

import pytest

from vedette_dev.cache import REPOSITORY
from vedette_dev.images import environment, grub
from vedette_dev.images.disk import put, read_environment, write_environment
from vedette_dev.images.inputs import digest
from vedette_dev.images.layout import MIB, layout


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    place = tmp_path / "disk.img"
    with place.open("wb") as stream:
        stream.truncate(layout(MIB, MIB).size_bytes)
    return place


def test_an_image_replaces_what_was_in_its_partition_alone(blank: Path, tmp_path: Path) -> None:
    where, image = layout(MIB, MIB), tmp_path / "image"
    for content in (b"\xff" * MIB, b"one" + bytes(MIB - 3)):
        image.write_bytes(content)
        put(blank, where.slot_b, image)
        start = where.slot_b.start_bytes
        assert blank.read_bytes()[start : start + MIB] == content
    assert not any(blank.read_bytes()[: where.slot_b.start_bytes])
    assert not any(blank.read_bytes()[where.data.start_bytes :])


def test_what_is_all_zeros_takes_no_room(blank: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    put(blank, layout(MIB, MIB).slot_a, image)
    assert blank.stat().st_blocks == 0


def test_an_image_that_does_not_fit_is_refused(blank: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB + 1))
    with pytest.raises(ValueError, match="rootfs-a: expected 1048576 bytes, got 1048577"):
        put(blank, layout(MIB, MIB).slot_a, image)


def test_both_copies_of_the_environment_are_written_and_read(blank: Path) -> None:
    where = layout(MIB, MIB)
    assert read_environment(blank, where, 0) is None
    write_environment(blank, where, environment.FACTORY)
    assert [read_environment(blank, where, copy) for copy in (0, 1)] == [environment.FACTORY] * 2


def test_the_boot_sector_of_grub_names_the_core_image() -> None:
    code = grub.boot_code(bytes(range(256)) * 2, 0x8800)
    assert len(code) == 440  # the table behind it stays
    assert code[0x5C:0x64] == (0x8800).to_bytes(8, "little")
    assert code[:0x5C] == bytes(range(256))[:0x5C]


def test_the_core_image_of_grub_names_its_own_rest() -> None:
    core = grub.core_image(b"\xaa" * 2048, 0x8800)
    assert core[500:508] == (0x8801).to_bytes(8, "little")
    assert core[:500] + core[508:] == b"\xaa" * 2040


def test_grub_s_configuration_reads_the_script_of_the_product() -> None:
    template = (REPOSITORY / "qemu-images/boot/grub.cfg").read_text()
    made = grub.configuration(template, layout(MIB), "ttyS0")
    assert "source $prefix/grub-slots.cfg" in made
    assert "set root_part=3" in made
    assert not [line for line in made.splitlines() if "@" in line and not line.startswith("#")]


def test_a_digest_is_of_names_modes_and_content(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "one").write_text("1")
    seen = [digest("x", folder)]
    (folder / "one").chmod(0o755)
    seen.append(digest("x", folder))
    (folder / "one").rename(folder / "two")
    seen.append(digest("x", folder))
    (folder / "two").write_text("2")
    seen.append(digest("x", folder))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/two.pyc").write_text("not an input")
    assert len(set(seen)) == len(seen)
    assert digest("x", folder) == seen[-1]
    assert digest("ab", "c") != digest("a", "bc")
