"""Bytecode of the agent made on this machine is what the device's own Python would take for its."""

from __future__ import annotations

import importlib.util
import marshal
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from vedette_dev.images import bytecode

MTIME = 1_700_000_000
PYC_HEAD = struct.Struct("<4sLL")
"""As py3compile(1) compares it: magic, flags (0: by time), time of the source."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A .deb with one module and a link in our folder, and one file elsewhere."""
    root = tmp_path / "root"
    home = root / bytecode.HOME / "lib"
    home.mkdir(parents=True)
    (home / "one.py").write_text("def f():\n    return 1\n")
    (home / "link").symlink_to("../elsewhere")
    (root / "etc").mkdir()
    (root / "etc/conf").write_text("x\n")
    os.utime(home / "one.py", (MTIME, MTIME))
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: one\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.example>\n"
        "Description: one\n"
    )
    made = tmp_path / "one.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def test_it_is_up_to_date_for_the_device(package: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    bytecode.lay(package, tree, tmp_path / "log")
    home = tree / bytecode.HOME / "lib"
    name = Path(importlib.util.cache_from_source("one.py")).name
    made = (home / "__pycache__" / name).read_bytes()
    assert PYC_HEAD.unpack_from(made) == (importlib.util.MAGIC_NUMBER, 0, MTIME)
    code = marshal.loads(made[16:])  # noqa: S302 (made a line above)
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/{bytecode.HOME}/lib/one.py"
    assert (home / "one.py").stat().st_mtime == MTIME
    assert (home / "link").is_symlink()


def test_nothing_but_our_own_folder_is_laid(package: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    bytecode.lay(package, tree, tmp_path / "log")
    assert [path.name for path in tree.iterdir()] == ["usr"]
    assert sorted(tmp_path.iterdir()) == [
        tmp_path / "log", package, tmp_path / "root", tree,
    ]  # fmt: skip


def test_another_python_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    assert not bytecode.is_the_devices()
    monkeypatch.setattr(sys, "version_info", (3, 11, 2, "final", 0))
    assert bytecode.is_the_devices()
