"""The archive that firmware is built from: the same bytes each time, and nothing compiled."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.packages._firmware import archive

from vedette_dev.cache import REPOSITORY
from vedette_dev.packages import source_archive
from vedette_dev.packages.source_archive import NATIVE


def test_two_builds_are_equal_bit_for_bit(tmp_path: Path) -> None:
    again = source_archive.build(REPOSITORY, tmp_path, say=print)
    assert again.read_bytes() == archive().read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [again.name]


def test_it_holds_no_machine_code_and_nobody_elses_files() -> None:
    with tarfile.open(archive()) as packed:
        members = packed.getmembers()
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert all(member.isfile() or member.isdir() for member in members)
    compiled = [one.name for one in members if one.name.endswith((".so", ".pyc", ".a"))]
    assert compiled == []
    carried = {one.name.split("/")[2].lower() for one in members if "/site-packages/" in one.name}
    assert {"tuf", "securesystemslib", "paho", "urllib3", "inotify_simple.py"} <= carried
    assert carried.isdisjoint(NATIVE)


def test_it_holds_the_agent_and_what_goes_into_packages() -> None:
    with tarfile.open(archive()) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    source = REPOSITORY / "agent/vedette"
    own = {f"agent/vedette/{file.relative_to(source)}" for file in source.rglob("*.py")}
    assert own <= names
    assert {"packaging/vedette.toml", "packaging/openwrt/Makefile", "LICENSE"} <= names
    assert not any("vedette_dev" in name or name.startswith("tests") for name in names)
