"""What may run, put together: nothing unsigned denies, nothing essential is denied."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vedette.daemon import deny_lists
from vedette.daemon.config import Deny, parse
from vedette.model.baseline import FileRecord
from vedette.model.denial import ALLOW_UNKNOWN, ANY_SIZE, DENY_UNKNOWN, OBSERVE_UNKNOWN
from vedette.model.profile import Learnt, Origin, Profile, Program
from vedette.store.baseline import SqliteBaseline

TOOL = FileRecord("/usr/bin/tool", "file", 0o100755, 0, 0, 10, 1, 1, 1, "aa" * 32, "")
RECORDS = (
    TOOL,
    TOOL._replace(path="/etc/passwd", mode=0o100644, digest="bb" * 32),
    TOOL._replace(path="/usr/bin/link", kind="link", digest="cc" * 32),
    TOOL._replace(path="/usr/bin/unread", digest=""),
)
PROGRAMS = (
    Program("/usr/bin/tool", ("aa" * 32, "dd" * 32)),
    Program("/usr/bin/secret", ()),
)
PROFILE = Profile(
    "p", 1, 0, 0, "camera", "fw 1", Origin("d", 0, 1, 1, 0), Learnt(programs=PROGRAMS), "ee" * 32
)


@pytest.fixture
def baseline(tmp_path: Path) -> SqliteBaseline:
    made = SqliteBaseline(tmp_path)
    made.open()
    made.replace(RECORDS)
    return made


def test_where_the_unknown_is_allowed_no_baseline_is_read(tmp_path: Path) -> None:
    closed = SqliteBaseline(tmp_path)
    found = deny_lists.build(Deny(enabled=True), PROFILE, closed)
    assert found.lists.unknown == ALLOW_UNKNOWN
    assert not found.lists.allowed


def test_a_signed_profile_lets_the_unknown_be_denied(baseline: SqliteBaseline) -> None:
    found = deny_lists.build(Deny(enabled=True, unknown="deny"), PROFILE, baseline)
    assert found.lists.unknown == DENY_UNKNOWN
    assert found.lists.allowed == {(10, b"\xaa" * 32), (ANY_SIZE, b"\xdd" * 32)}
    assert found.lists.allowed_paths == {"/usr/bin/secret"}


def test_without_a_signed_profile_the_unknown_is_only_observed(baseline: SqliteBaseline) -> None:
    found = deny_lists.build(Deny(enabled=True, unknown="deny"), None, baseline)
    assert found.lists.unknown == OBSERVE_UNKNOWN
    assert any("no signed profile" in problem for problem in found.problems)


def test_the_file_systems_of_the_trees_are_watched(tmp_path: Path) -> None:
    found = deny_lists.build(Deny(trees=(str(tmp_path),)), None, SqliteBaseline(tmp_path))
    assert len(found.lists.watched) == 1
    (directory,) = found.lists.watched
    assert tmp_path.stat().st_dev == Path(directory).stat().st_dev


def test_what_a_device_is_reached_with_is_essential(tmp_path: Path) -> None:
    own = tmp_path / "camera"
    own.write_bytes(b"")
    found = deny_lists.essential((str(own), str(tmp_path), "/no/such/file"))
    for path in ("/bin/sh", sys.executable, str(own)):
        assert os.path.realpath(path) in found
    assert str(tmp_path) not in found  # a folder is no program
    assert all(Path(path).is_file() for path in found)


def test_the_loader_of_this_very_program_is_essential() -> None:
    maps = Path("/proc/self/maps").read_text()
    loaders = {word for word in maps.split() if Path(word).name.startswith("ld-")}
    assert loaders, "expected a dynamic Python"
    assert loaders <= deny_lists.essential()


def test_the_configuration_says_what_is_wrong() -> None:
    text = '[deny]\nenabled = true\nunknown = "observe"\nessential = ["/opt/camera"]\n'
    config = parse(text, "v.toml").deny
    assert config == Deny(enabled=True, unknown="observe", essential=("/opt/camera",))
