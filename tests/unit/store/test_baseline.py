"""The baseline in SQLite: order, atomicity, damage."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.errors import StoreError
from vedette.model.baseline import FileRecord
from vedette.store.baseline import SqliteBaseline


def record(path: str, **changes: Any) -> FileRecord:
    plain = FileRecord(path, "file", 0o100644, 0, 0, 1, 2, 3, 4, "ab" * 32, "")
    return plain._replace(**changes)


@pytest.fixture
def baseline(tmp_path: Path) -> Iterator[SqliteBaseline]:
    made = SqliteBaseline(tmp_path)
    assert made.open() == []
    yield made
    made.close()


TREE = [
    record("/", kind="dir", digest=""),
    record("/etc", kind="dir", digest=""),
    record("/etc/a"),
    record("/etc/a/b"),
    record("/etc/a!"),
    record("/etc/\udcff", capabilities="0100000200"),
    record("/etc-beside"),
]


def test_what_is_put_in_comes_out_in_path_order(baseline: SqliteBaseline) -> None:
    assert baseline.is_empty()
    assert baseline.replace(reversed(TREE)) == len(TREE)
    assert not baseline.is_empty()
    assert list(baseline.paths("/")) == TREE
    assert list(baseline.paths("/etc/a")) == TREE[2:4]
    assert list(baseline.paths("/etc/")) == TREE[1:6]
    assert list(baseline.paths("/nothing")) == []
    assert baseline.known("/etc/a!") == TREE[4]
    assert baseline.known("/etc/b") is None
    assert baseline.count() == len(TREE)


def test_more_rows_than_a_page_holds(baseline: SqliteBaseline) -> None:
    many = [record(f"/d/{number:05}") for number in range(1500)]
    assert baseline.replace(many) == 1500
    assert list(baseline.paths("/d")) == many


def test_accepting_adds_changes_and_forgets(baseline: SqliteBaseline) -> None:
    baseline.replace(TREE)
    before = baseline.digest()
    changed = record("/etc/a", mode=0o104755)
    assert baseline.accept([changed, record("/new")], ["/etc/a!", "/never"]) == 3
    assert baseline.known("/etc/a") == changed
    assert baseline.known("/etc/a!") is None
    assert baseline.digest() != before


def test_times_and_inode_leave_the_digest_alone(baseline: SqliteBaseline) -> None:
    baseline.replace(TREE)
    before = baseline.digest()
    baseline.accept([TREE[2]._replace(inode=77, mtime_ns=88, ctime_ns=99)], [])
    assert baseline.digest() == before


def test_a_replacement_cut_short_leaves_the_old_baseline(baseline: SqliteBaseline) -> None:
    baseline.replace(TREE)

    def broken() -> Iterator[FileRecord]:
        yield record("/half")
        raise StoreError("the scanner died")

    with pytest.raises(StoreError, match="the scanner died"):
        baseline.replace(broken())
    assert list(baseline.paths("/")) == TREE


def test_the_file_is_its_owners_alone_and_survives(tmp_path: Path) -> None:
    first = SqliteBaseline(tmp_path)
    first.open()
    first.replace(TREE)
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    first.close()
    second = SqliteBaseline(tmp_path)
    assert second.open() == []
    assert list(second.paths("/")) == TREE
    second.close()


def damaged(tmp_path: Path, change: str) -> Path:
    made = SqliteBaseline(tmp_path)
    made.open()
    made.replace([record(f"/d/{number:05}") for number in range(400)])
    made.close()
    data = made.path.read_bytes()
    broken = {
        "truncated": data[: len(data) // 2],
        "overwritten": b"\xff" * 100 + data[100:],
        "a page of noise": data[:4096] + b"\x55" * 4096 + data[8192:],
        "another format": b"not a database at all" * 50,
    }[change]
    made.path.write_bytes(broken)
    return made.path


@pytest.mark.parametrize(
    "change", ["truncated", "overwritten", "a page of noise", "another format"]
)
def test_a_damaged_file_is_set_aside_and_told(tmp_path: Path, change: str) -> None:
    path = damaged(tmp_path, change)
    broken = path.read_bytes()
    again = SqliteBaseline(tmp_path)
    (line,) = again.open()
    assert "set aside as baseline.db.damaged" in line
    assert (tmp_path / "baseline.db.damaged").read_bytes() == broken
    assert again.is_empty()
    assert again.replace(TREE) == len(TREE)
    again.close()


def test_a_newer_version_is_not_touched_but_set_aside(tmp_path: Path) -> None:
    first = SqliteBaseline(tmp_path)
    first.open()
    assert first._connection is not None
    first._connection.execute("PRAGMA user_version = 99")
    first.close()
    again = SqliteBaseline(tmp_path)
    assert "version 99" in again.open()[0]
    again.close()


@examples(0.25, HealthCheck.function_scoped_fixture)
@given(at=st.integers(0, 20_000), value=st.binary(min_size=1, max_size=64))
@example(at=3787, value=b"\x80")  # in the schema, which SQLite's message then quotes
@example(at=3980, value=b"\x80")  # in a column's name
@example(at=3979, value=b"\x80")  # one column less
@example(at=4084, value=b" \x80")  # in what SQLite says of it
def test_any_damage_gives_rows_or_a_store_error(tmp_path: Path, at: int, value: bytes) -> None:
    path = tmp_path / "baseline.db"
    path.unlink(missing_ok=True)
    made = SqliteBaseline(tmp_path)
    made.open()
    made.replace([record(f"/d/{number:03}") for number in range(120)])
    made.close()
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(value)] = value
    path.write_bytes(bytes(data))
    again = SqliteBaseline(tmp_path)
    try:
        again.open()
        for found in again.paths("/"):
            assert isinstance(found, FileRecord)
    except StoreError as error:
        assert "baseline" in str(error)  # noqa: PT017 (either outcome is right)
    finally:
        again.close()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "baseline.db").symlink_to(elsewhere)
    with pytest.raises(StoreError):
        SqliteBaseline(tmp_path / "state").open()
    assert elsewhere.read_bytes() == b"precious"


def test_a_missing_folder_says_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="check that the disk is writable"):
        SqliteBaseline(tmp_path / "no" / "such").open()


def test_a_closed_baseline_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="closed"):
        SqliteBaseline(tmp_path).count()


def test_a_reader_sees_what_was_when_it_opened(baseline: SqliteBaseline, tmp_path: Path) -> None:
    baseline.replace(TREE)
    reader = SqliteBaseline(tmp_path, is_read_only=True)
    reader.open()
    baseline.accept([record("/later")], ["/etc/a"])
    assert list(reader.paths("/")) == TREE
    with pytest.raises(StoreError):
        reader.accept([record("/mine")], [])
    reader.close()


def test_a_read_only_file_system_still_tells_what_is_expected(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a read-only file system")
    made = SqliteBaseline(tmp_path)
    made.open()
    made.replace(TREE)
    made.close()
    script = (
        'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$1" -I -c "'
        "import sys; from pathlib import Path; from vedette.store.baseline import SqliteBaseline;"
        "b = SqliteBaseline(Path(sys.argv[1])); lines = b.open();"
        "assert 'read only' in lines[0], lines; assert b.count() == 7;"
        "r = SqliteBaseline(Path(sys.argv[1]), is_read_only=True); r.open();"
        'assert r.count() == 7" "$0"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
