"""A disk that is full, read-only or broken at any step of a refresh."""

from __future__ import annotations

import errno
import json
import shutil
import time
from pathlib import Path

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.tuf_repository import ALL, MemorySource, Repository

from vedette.daemon.installer.opening import open_trust
from vedette.errors import StoreError
from vedette.store import durable
from vedette.trust.tuf_client import ReleaseTrust


def test_a_disk_that_is_full_at_any_step_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository()
    assert _at(tmp_path / "first", repository).refresh().root == 1
    repository.publish("root", *ALL)
    for step in range(1, 200):
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "first", folder)
        with monkeypatch.context() as patched:
            patched.setattr(durable, "disk", FailingDisk(step, errno.ENOSPC, is_lasting=True))
            try:
                _at(folder, repository).refresh()
            except StoreError:
                pass
            else:
                break
        # What is on the disk is whole, and the next refresh ends where this one should have.
        for path in (folder / "metadata").glob("*.json"):
            assert json.loads(path.read_bytes())["signed"]["version"] in {1, 2}
        after = _at(folder, repository).refresh()
        assert (after.root, after.timestamp, after.snapshot, after.targets) == (2, 2, 2, 2)
    assert step > 20, "every write of metadata and of both copies of the floors was refused once"


def _at(folder: Path, repository: Repository) -> ReleaseTrust:
    return open_trust(
        folder / "metadata",
        folder / "floors",
        root=repository.files["1.root.json"],
        source=MemorySource(repository),
        build_s=0,
        wall_s=time.time(),
    ).trust
