"""Files of the agent's own: every way to change one is told, once, with what was done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.daemon.own_files import OwnChange, OwnFiles, files, programs, units


def _append(file: Path) -> None:
    with file.open("a") as stream:
        stream.write("more")


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("as long")
    other.rename(file)


def _rewrite_with_old_times(file: Path) -> None:
    before = file.stat()
    file.write_text("AS LONG")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "something is appended": (_append, "its content was changed"),
    "another file is put in its place": (_replace, "another file lies in its place"),
    "it is removed": (Path.unlink, "it was removed"),
    "others may write to it now": (lambda file: file.chmod(0o666), "its mode is 0666 now"),
    "as much is written, and the times set back": (
        _rewrite_with_old_times, "its attributes were changed, or its times set",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", TAMPERING)
def test_a_changed_file_is_told_once(tmp_path: Path, way: str) -> None:
    tamper, what = TAMPERING[way]
    file = tmp_path / "vedette.toml"
    file.write_text("as long")
    own = OwnFiles({"configuration": files(str(file), "")})
    assert own.changed() == []
    tamper(file)
    assert own.changed() == [OwnChange("configuration", str(file), what)]
    assert own.changed() == []


def test_a_unit_that_is_added_or_overridden_is_told(tmp_path: Path) -> None:
    (tmp_path / "vedette.service").write_text("[Service]\n")
    (tmp_path / "other.service").write_text("")
    own = OwnFiles({"unit": units([str(tmp_path), str(tmp_path / "missing")])})
    drop_in = tmp_path / "vedette.service.d"
    drop_in.mkdir()
    (tmp_path / "other.service").write_text("more")
    assert own.changed() == [OwnChange("unit", f"{drop_in}/", "it is new")]
    (drop_in / "quiet.conf").write_text("[Service]\nExecStart=\n")
    assert own.changed() == [
        OwnChange("unit", f"{drop_in}/", "what lies in it changed, quiet.conf last")
    ]


def test_a_program_that_is_changed_is_named_and_what_python_compiled_is_not(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name in ("first.py", "second.py"):
        (package / name).write_text("x = 1\n")
    own = OwnFiles({"program": programs(str(tmp_path))})
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "first.pyc").write_text("")
    assert own.changed() == []
    (package / "first.py").write_text("x = 2\n")
    assert own.changed() == [
        OwnChange("program", f"{package}/", "what lies in it changed, first.py last")
    ]


def test_what_we_changed_ourselves_is_expected(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    own = OwnFiles({"socket": files(str(first)), "key": files(str(second))})
    first.touch()
    second.touch()
    own.expect("socket")
    assert own.changed() == [OwnChange("key", str(second), "it is new")]
