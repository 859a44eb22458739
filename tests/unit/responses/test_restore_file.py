"""Restoring watched files; being killed in between is in tests/system/test_files_killed.py."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulators.file_state import ID, FileState, context, file_state, order_on
from tests.simulators.good_files import MemoryBaseline, MemoryGoodCopies, record_of

from vedette.errors import ResponseError
from vedette.model.response import Order, PeerTarget, ResponseStatus, UndoRecord
from vedette.responses import _file_calls, restore_file
from vedette.responses.restore_file import RestoreFile

GOOD = b"good = yes\n"
BAD = b"good = no\n"


class Scene(NamedTuple):
    """A file whose good copy is known, and who restores it."""

    responder: RestoreFile
    file: Path
    good: FileState
    copies: MemoryGoodCopies

    @property
    def store(self) -> Path:
        return self.responder.context.state_dir

    def order(self, sha256: str = "") -> Order:
        return order_on(self.file, sha256, responder="restore_file")

    def restore(self) -> UndoRecord:
        order = self.order()
        record = self.responder.plan(order)
        outcome = self.responder.act(order, record)
        assert outcome.status is ResponseStatus.DONE, outcome
        return record

    def undo(self, record: UndoRecord) -> ResponseStatus:
        return self.responder.undo(self.order(), record).status

    def is_good(self) -> bool:
        now = file_state(self.file)
        return now._replace(atime_ns=0) == self.good._replace(atime_ns=0)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.file.parent.iterdir())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "device.conf"
    file.write_bytes(GOOD)
    file.chmod(0o640)
    os.setxattr(file, "user.origin", b"maker")
    copies = MemoryGoodCopies()
    copies.take(file)
    baseline = MemoryBaseline(record_of(file))
    responder = RestoreFile(context(tmp_path, baseline=baseline, good_copies=copies))
    return Scene(responder, file, file_state(file), copies)


def test_a_changed_file_is_good_again_and_the_change_is_kept(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    scene.file.chmod(0o777)
    os.setxattr(scene.file, "user.origin", b"intruder")
    before = file_state(scene.file)
    record = scene.restore()
    assert scene.is_good()
    assert file_state(scene.store / ID) == before
    assert scene.undo(record) is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert scene.undo(record) is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert list(scene.store.iterdir()) == []
    assert scene.names() == ["device.conf"]


def test_a_removed_file_is_there_again_and_goes_with_the_undo(scene: Scene) -> None:
    scene.file.unlink()
    record = scene.restore()
    assert scene.is_good()
    assert scene.undo(record) is ResponseStatus.UNDONE
    assert scene.names() == []
    assert scene.undo(record) is ResponseStatus.UNDONE


def test_a_link_in_its_place_is_replaced_and_not_followed(scene: Scene) -> None:
    elsewhere = scene.file.with_name("elsewhere")
    scene.file.unlink()
    elsewhere.write_bytes(BAD)
    scene.file.symlink_to(elsewhere)
    before = file_state(scene.file)
    record = scene.restore()
    assert scene.is_good()
    assert elsewhere.read_bytes() == BAD
    assert scene.undo(record) is ResponseStatus.UNDONE
    assert file_state(scene.file) == before
    assert scene.names() == ["device.conf", "elsewhere"]


def test_only_mode_and_owner_changed_is_restored_too(scene: Scene) -> None:
    scene.file.chmod(0o4777)
    before = file_state(scene.file)
    record = scene.restore()
    assert scene.is_good()
    assert scene.undo(record) is ResponseStatus.UNDONE
    assert file_state(scene.file) == before


def test_an_immutable_file_is_restored_and_has_its_flag_back(scene: Scene, as_root: None) -> None:
    scene.file.write_bytes(BAD)
    descriptor = os.open(scene.file, os.O_RDONLY)
    try:
        _file_calls.set_flags(descriptor, _file_calls.IMMUTABLE)
        before = file_state(scene.file)
        record = scene.restore()
        assert scene.is_good()
        assert scene.undo(record) is ResponseStatus.UNDONE
        assert file_state(scene.file) == before
    finally:
        _file_calls.set_flags(descriptor, 0)
        os.close(descriptor)


def test_no_reader_ever_misses_the_file(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.file.write_bytes(BAD)
    seen: set[bytes] = set()
    for name in ("rename", "unlink", "link"):
        real = getattr(os, name)

        def watched(*given: object, real: object = real, **more: object) -> None:
            seen.add(scene.file.read_bytes())
            real(*given, **more)  # type: ignore[operator]
            seen.add(scene.file.read_bytes())

        monkeypatch.setattr(os, name, watched)
    record = scene.restore()
    scene.undo(record)
    assert seen == {GOOD, BAD}


def test_a_good_file_needs_nothing(scene: Scene) -> None:
    with pytest.raises(ResponseError, match="as the baseline has it: nothing is to be restored"):
        scene.responder.plan(scene.order())


def test_a_file_without_a_copy_cannot_be_restored(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    scene.copies.copies.clear()
    with pytest.raises(ResponseError, match="there is no good copy of"):
        scene.responder.plan(scene.order())


def test_a_copy_that_is_not_what_the_baseline_expects_is_none(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    copy = scene.copies.copies[str(scene.file)]
    scene.copies.copies[str(scene.file)] = copy._replace(content=b"forged")
    with pytest.raises(ResponseError, match="there is no good copy of"):
        scene.responder.plan(scene.order())


def test_a_file_accepted_between_plan_and_act_is_left(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    order = scene.order()
    record = scene.responder.plan(order)
    baseline = scene.responder.context.baseline
    assert baseline is not None
    baseline.accept([record_of(scene.file)], ())
    scene.copies.take(scene.file)
    outcome = scene.responder.act(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert scene.file.read_bytes() == BAD


def test_another_file_than_judged_is_left(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    judged = scene.order(hashlib.sha256(BAD).hexdigest())
    record = scene.responder.plan(judged)
    scene.file.write_bytes(b"mended by hand")
    assert scene.responder.act(judged, record).status is ResponseStatus.REFUSED
    assert scene.file.read_bytes() == b"mended by hand"
    with pytest.raises(ResponseError, match="is not the file that was judged"):
        scene.responder.plan(judged)


def test_a_file_replaced_at_the_last_moment_is_put_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.file.write_bytes(BAD)
    order = scene.order()
    record = scene.responder.plan(order)
    real = _file_calls.exchange
    other = scene.file.with_name("other")
    other.write_bytes(b"precious")

    def late(name: str, folder: int, other_name: str, other_folder: int) -> None:
        if other.exists():
            other.replace(scene.file)
        real(name, folder, other_name, other_folder)

    monkeypatch.setattr(restore_file, "exchange", late)
    outcome = scene.responder.act(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert scene.file.read_bytes() == b"precious"
    assert scene.names() == ["device.conf"]


def test_who_changed_the_restored_file_meant_it(scene: Scene) -> None:
    scene.file.write_bytes(BAD)
    record = scene.restore()
    scene.file.write_bytes(b"by hand")
    outcome = scene.responder.undo(scene.order(), record)
    assert outcome.status is ResponseStatus.REFUSED
    assert "was changed since it was restored" in outcome.detail
    assert scene.file.read_bytes() == b"by hand"
    assert (scene.store / ID).read_bytes() == BAD
    assert scene.responder.holds(scene.order(), record)
    again = scene.responder.act(scene.order(), record)
    assert again.status is ResponseStatus.REFUSED
    assert scene.file.read_bytes() == b"by hand"


def test_folders_and_pipes_are_not_replaced(scene: Scene) -> None:
    scene.file.unlink()
    os.mkfifo(scene.file)
    with pytest.raises(ResponseError, match="expected a file at"):
        scene.responder.plan(scene.order())


def test_without_copies_it_says_so(tmp_path: Path) -> None:
    responder = RestoreFile(context(tmp_path))
    assert "no good copies are kept" in responder.unavailable()
    with pytest.raises(ResponseError, match="no good copies are kept"):
        responder.plan(order_on(tmp_path / "x"))


def test_other_targets_are_refused(scene: Scene) -> None:
    with pytest.raises(ResponseError, match="expected a file, got PeerTarget"):
        scene.responder.plan(scene.order()._replace(target=PeerTarget("192.0.2.1")))


def test_a_file_system_that_cannot_exchange_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.file.write_bytes(BAD)
    order = scene.order()
    record = scene.responder.plan(order)

    def unknown(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(restore_file, "exchange", unknown)
    outcome = scene.responder.act(order, record)
    assert outcome.status is ResponseStatus.FAILED
    assert "change places in one step" in outcome.detail
    assert scene.file.read_bytes() == BAD
    assert scene.names() == ["device.conf"]
    assert scene.undo(record) is ResponseStatus.UNDONE
