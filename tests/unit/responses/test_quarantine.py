"""The quarantine on plain files; mounts, kills and full disks are in tests/system."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulators.file_state import ID, context, file_state, order_on

from vedette.errors import ResponseError
from vedette.model.response import Outcome, PeerTarget, ResponseStatus
from vedette.responses import _file_calls, _twin, _vault
from vedette.responses.quarantine import Quarantine

EVIL = b"#!/bin/sh\necho evil\n"
SHA256 = hashlib.sha256(EVIL).hexdigest()
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""vfs_cap_data: cap_net_bind_service, effective."""


class Scene(NamedTuple):
    """A file to take, and who takes it."""

    quarantine: Quarantine
    file: Path
    store: Path

    def take(self, sha256: str = SHA256) -> Outcome:
        order = order_on(self.file, sha256)
        return self.quarantine.act(order, self.quarantine.plan(order))


@pytest.fixture(params=["same file system", "another one"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """The file lies on the store's file system, or on the memory's."""
    folder = tmp_path / "place"
    if request.param == "another one":
        folder = Path("/dev/shm") / f"vedette-test-{os.getpid()}"
    folder.mkdir()
    if (folder.stat().st_dev == tmp_path.stat().st_dev) != (request.param == "same file system"):
        folder.rmdir()
        pytest.skip("needs /dev/shm on a file system of its own")
    file = folder / "evil"
    file.write_bytes(EVIL)
    file.chmod(0o755)
    yield Scene(Quarantine(context(tmp_path)), file, tmp_path / "state")
    shutil.rmtree(folder)


def test_a_file_is_taken_where_only_root_reaches_it(scene: Scene) -> None:
    outcome = scene.take()
    assert outcome.status is ResponseStatus.DONE, outcome
    assert outcome.facts["sha256"] == SHA256
    assert list(scene.file.parent.iterdir()) == []
    kept = scene.store / ID
    assert kept.read_bytes() == EVIL
    assert kept.stat().st_mode & 0o7777 == 0
    assert scene.store.stat().st_mode & 0o7777 == 0o700
    assert str(kept) in outcome.detail


def acl(mask: int) -> bytes:
    """A POSIX ACL in the form of its attribute: uid 7 may all, within a mask."""
    entries = [(1, 7, -1), (2, 7, 7), (4, 4, -1), (0x10, mask, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def test_the_undo_brings_all_of_it_back(scene: Scene, as_root: None) -> None:
    os.chown(scene.file, 12, 34)
    os.setxattr(scene.file, "user.note" if is_ext4(scene.file) else "trusted.note", b"\0x\xff")
    os.setxattr(scene.file, "security.capability", CAPABILITY)
    os.setxattr(scene.file, "system.posix_acl_access", acl(5))
    scene.file.chmod(0o6751)
    os.utime(scene.file, ns=(1_111_111_111_222_222_222, 333_333_333_444_444_444))
    before = file_state(scene.file)
    assert len(before.attributes) == 3
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    assert scene.quarantine.act(order, record).status is ResponseStatus.DONE
    assert not scene.file.exists()
    assert scene.quarantine.holds(order, record)
    again = Quarantine(scene.quarantine.context)
    assert again.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert not again.holds(order, record)
    assert list(scene.store.iterdir()) == []
    assert list(scene.file.parent.iterdir()) == [scene.file]
    assert again.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(scene.file) == before


def is_ext4(path: Path) -> bool:
    return not str(path).startswith("/dev/shm")


@pytest.mark.thorough
def test_a_hundred_of_a_hundred_come_back(scene: Scene) -> None:
    for number in range(100):
        scene.file.write_bytes(os.urandom(number * 700))
        scene.file.chmod(number * 41 & 0o777)
        before = file_state(scene.file)
        order = order_on(scene.file, key=f"{number:016x}")
        record = scene.quarantine.plan(order)
        assert scene.quarantine.act(order, record).status is ResponseStatus.DONE
        assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(scene.file) == before


def test_planning_changes_nothing(scene: Scene) -> None:
    before, ctime_ns = file_state(scene.file), scene.file.stat().st_ctime_ns
    scene.quarantine.plan(order_on(scene.file, SHA256))
    assert file_state(scene.file) == before
    assert scene.file.stat().st_ctime_ns == ctime_ns
    assert not scene.store.exists()


def test_acting_twice_says_where_it_lies(scene: Scene) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    scene.quarantine.act(order, record)
    again = scene.quarantine.act(order, record)
    assert again.status is ResponseStatus.DONE
    assert "already" in again.detail
    assert again.facts["sha256"] == SHA256


def test_another_content_than_judged_is_refused(scene: Scene) -> None:
    with pytest.raises(ResponseError, match=f"expected SHA-256 {'0' * 64}, got {SHA256}"):
        scene.quarantine.plan(order_on(scene.file, "0" * 64))


Change = Callable[[Path], None]


def rewritten(file: Path) -> None:
    file.write_bytes(b"harmless")


def replaced(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.write_bytes(EVIL)


def linked(file: Path) -> None:
    file.rename(file.with_name("victim"))
    file.symlink_to(file.with_name("victim"))


def made_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def made_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("change", [rewritten, replaced, linked, made_a_folder, made_a_pipe])
def test_what_is_not_the_judged_file_any_more_is_refused(scene: Scene, change: Change) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    change(scene.file)
    before = {path: path.lstat() for path in scene.file.parent.iterdir()}
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert {path: path.lstat() for path in scene.file.parent.iterdir()} == before


def test_a_file_that_is_still_written_is_taken_by_its_inode(scene: Scene) -> None:
    order = order_on(scene.file)
    record = scene.quarantine.plan(order)
    with scene.file.open("ab") as writer:
        writer.write(b"more")
    assert scene.quarantine.act(order, record).status is ResponseStatus.DONE
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert scene.file.read_bytes() == EVIL + b"more"
    assert scene.file.stat().st_mode & 0o7777 == 0o755


def test_a_file_that_is_gone_fails(scene: Scene) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    scene.file.unlink()
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.FAILED
    assert "gone" in outcome.detail
    assert not scene.quarantine.holds(order, record)
    with pytest.raises(ResponseError, match="No such file"):
        scene.quarantine.plan(order)


def test_a_file_put_in_its_place_while_it_moves_is_put_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    victim = scene.file.with_name("victim")
    victim.write_bytes(b"precious")
    real = os.rename

    def rename(source: str, target: str, **folders: int) -> None:
        if source == "evil" and victim.exists():
            real(scene.file, scene.file.with_name("hidden"))
            real(victim, scene.file)
        real(source, target, **folders)

    monkeypatch.setattr(os, "rename", rename)
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert scene.file.read_bytes() == b"precious"
    assert sorted(path.name for path in scene.file.parent.iterdir()) == ["evil", "hidden"]
    assert scene.file.with_name("hidden").stat().st_mode & 0o7777 == 0o755


def test_two_files_put_in_its_place_keep_a_name_each(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    victim = scene.file.with_name("victim")
    victim.write_bytes(b"precious")
    real = os.rename

    def rename(source: str, target: str, **folders: int) -> None:
        if victim.exists():
            real(scene.file, scene.file.with_name("hidden"))
            real(victim, scene.file)
        real(source, target, **folders)  # fails when the store is on another file system
        scene.file.write_bytes(b"second")

    monkeypatch.setattr(os, "rename", rename)
    assert scene.quarantine.act(order, record).status is ResponseStatus.REFUSED
    contents = sorted(path.read_bytes() for path in scene.file.parent.iterdir())
    assert contents == sorted([EVIL, b"precious", b"second"])
    assert scene.file.read_bytes() == b"precious"


def test_a_file_with_other_names_keeps_its_mode(scene: Scene) -> None:
    other = scene.file.with_name("busybox")
    other.hardlink_to(scene.file)
    before = file_state(scene.file)
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.PARTLY, outcome
    assert outcome.facts["names_left"] == 1
    assert not scene.file.exists()
    assert other.stat().st_mode & 0o7777 == 0o755
    assert file_state(other).content == EVIL
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert scene.file.stat().st_ino == other.stat().st_ino


def test_who_holds_it_open_cannot_execute_it_again(scene: Scene, as_root: None) -> None:
    held = os.open(scene.file, os.O_PATH)
    try:
        assert scene.take().status is ResponseStatus.DONE
        with pytest.raises(PermissionError):
            os.posix_spawn(f"/proc/{os.getpid()}/fd/{held}", ["evil"], {})
    finally:
        os.close(held)


def flag(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _file_calls.set_flags(descriptor, flags)
    except OSError as error:
        pytest.skip(f"the file system of {path.parent} has no such flags: {error}")
    finally:
        os.close(descriptor)


def test_an_immutable_file_is_taken_and_has_its_flag_back(scene: Scene, as_root: None) -> None:
    flag(scene.file, _file_calls.IMMUTABLE | _file_calls.APPEND_ONLY)
    before = file_state(scene.file)
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    try:
        assert scene.quarantine.act(order, record).status is ResponseStatus.DONE
        assert not scene.file.exists()
        assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(scene.file) == before
    finally:
        for path in (scene.file, scene.store / ID):
            if path.exists():
                flag(path, 0)


def test_an_immutable_folder_leaves_it_without_its_mode(scene: Scene, as_root: None) -> None:
    before = file_state(scene.file)
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    flag(scene.file.parent, _file_calls.IMMUTABLE)
    try:
        outcome = scene.quarantine.act(order, record)
        assert outcome.status is ResponseStatus.PARTLY, outcome
        assert "nobody can execute it" in outcome.detail
        assert scene.file.stat().st_mode & 0o7777 == 0
        assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(scene.file) == before
    finally:
        flag(scene.file.parent, 0)


def test_an_undo_never_replaces_another_file(scene: Scene) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    scene.quarantine.act(order, record)
    scene.file.write_bytes(b"new")
    outcome = scene.quarantine.undo(order, record)
    assert outcome.status is ResponseStatus.FAILED
    assert "move that away and undo again" in outcome.detail
    assert scene.file.read_bytes() == b"new"
    scene.file.unlink()
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert scene.file.read_bytes() == EVIL


def test_a_robbed_quarantine_is_told(scene: Scene) -> None:
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    scene.quarantine.act(order, record)
    (scene.store / ID).unlink()
    assert not scene.quarantine.holds(order, record)
    outcome = scene.quarantine.undo(order, record)
    assert outcome.status is ResponseStatus.REFUSED
    assert "neither in the quarantine nor in its place" in outcome.detail


def test_a_folder_that_others_replaced_gets_nothing(scene: Scene, as_root: None) -> None:
    order = order_on(scene.file, SHA256)
    folder = scene.file.parent
    os.chown(folder, 65534, 65534)  # whoever owns it may rename what is in it
    os.chown(scene.store.parent, 65534, 65534)
    record = scene.quarantine.plan(order)
    assert scene.quarantine.act(order, record).status is ResponseStatus.DONE
    folder.rename(folder.with_name(folder.name + "-away"))
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    outcome = scene.quarantine.undo(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.with_name(folder.name + "-away").rename(folder)
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert scene.file.read_bytes() == EVIL


def test_the_agents_own_files_are_never_moved(scene: Scene, tmp_path: Path) -> None:
    own = Quarantine(context(tmp_path, untouchable_paths=(f"{scene.file.parent}/",)))
    with pytest.raises(ResponseError, match="the agent's own: never touched"):
        own.plan(order_on(scene.file, SHA256))


def test_what_the_agent_runs_is_never_moved(scene: Scene) -> None:
    with pytest.raises(ResponseError, match="which must go on: not moved"):
        scene.quarantine.plan(order_on(Path(os.path.realpath("/proc/self/exe"))))


def test_other_targets_are_refused(scene: Scene) -> None:
    order = order_on(scene.file)._replace(target=PeerTarget("192.0.2.1"))
    with pytest.raises(ResponseError, match="expected a file, got PeerTarget"):
        scene.quarantine.plan(order)


def test_a_file_too_large_to_copy_stays_beside_its_place(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_vault, "HASH_BYTES_MAX", len(EVIL) - 1)
    before = file_state(scene.file)
    order = order_on(scene.file, SHA256)
    record = scene.quarantine.plan(order)
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.DONE
    stored = "store" if is_ext4(scene.file) else "beside"
    assert outcome.facts["stored"] == stored
    if stored == "beside":
        (folder,) = scene.file.parent.iterdir()
        assert folder.stat().st_mode & 0o7777 == 0o700
        assert (folder / "content").stat().st_mode & 0o7777 == 0
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert list(scene.file.parent.iterdir()) == [scene.file]


def test_names_that_are_no_text_come_back(scene: Scene) -> None:
    strange = scene.file.with_name("e\nvil\udcff\x1b[2J")
    scene.file.rename(strange)
    order = order_on(strange, SHA256)
    record = scene.quarantine.plan(order)
    outcome = scene.quarantine.act(order, record)
    assert outcome.status is ResponseStatus.DONE
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert strange.read_bytes() == EVIL
    assert "\x1b" not in outcome.detail


def test_sparse_files_stay_sparse(scene: Scene) -> None:
    with scene.file.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(5 << 20)
        file.write(b"x")
    before, blocks = file_state(scene.file), scene.file.stat().st_blocks
    order = order_on(scene.file)
    record = scene.quarantine.plan(order)
    scene.quarantine.act(order, record)
    assert (scene.store / ID).stat().st_blocks * 512 <= max(blocks * 512, _twin.READ_BYTES)
    assert scene.quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(scene.file) == before


def test_a_digest_is_not_read_beyond_its_bound(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_twin, "HASH_BYTES_MAX", 3)
    with pytest.raises(ResponseError, match="is not the file that was judged"):
        scene.quarantine.plan(order_on(scene.file, SHA256))


def test_it_is_available_here(scene: Scene) -> None:
    assert scene.quarantine.unavailable() == ""
