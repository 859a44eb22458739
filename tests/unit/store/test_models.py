"""Models on the disk: whole or not at all, one in use, one to return to, never too much."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.model_content import NAME, MadeModel, fetch, make, stage

from vedette.errors import StoreError, TrustError
from vedette.model.model_use import ModelPointers
from vedette.store import durable
from vedette.store.model_staging import Staging
from vedette.store.models import ModelStore

BIG: Final = b"w" * 50_000
FIRST: Final = make({"m.onnx": BIG, "labels.txt": b"person\n"}, version="1")
SECOND: Final = make({"m.onnx": BIG + b"2", "labels.txt": b"person\n"}, version="2")
THIRD: Final = make({"m.onnx": BIG + b"3", "labels.txt": b"person\n"}, version="3")
MAX_STEPS: Final = 200


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is cut here, and hundreds of stores are made."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", max_bytes=1 << 20)


def used(store: ModelStore, made: MadeModel) -> str:
    digest = stage(store, made)
    store.switch(NAME, digest)
    store.commit(NAME, digest)
    return digest


def opened(store: ModelStore) -> bytes:
    """What the inference process reads."""
    return (store.folder / NAME / "current/model/m.onnx").read_bytes()


def test_a_store_that_is_not_there_holds_nothing(store: ModelStore) -> None:
    assert store.names() == []
    assert store.digests(NAME) == []
    assert store.pointers(NAME) == ModelPointers("", "", is_trial=False)
    assert store.recover() == []


def test_what_came_lies_under_its_digest_and_is_not_in_use(store: ModelStore) -> None:
    digest = stage(store, FIRST, step=7001)
    assert store.names() == [NAME]
    assert store.digests(NAME) == [digest]
    assert store.pointers(NAME) == ModelPointers("", "", is_trial=False)
    assert (store.path(NAME, digest) / "model/labels.txt").read_bytes() == b"person\n"
    assert store.verify(NAME, digest) == len(BIG) + len(b"person\n")


def test_others_may_read_it_and_nobody_may_change_or_run_it(store: ModelStore) -> None:
    digest = used(store, FIRST)
    for place, _, names in os.walk(store.folder / NAME / "content"):
        assert Path(place).stat().st_mode & 0o777 == 0o755
        for name in names:
            assert Path(place, name).stat().st_mode & 0o777 == 0o444
    assert store.path(NAME, digest).stat().st_mode & 0o005


def test_trial_commit_and_the_way_back(store: ModelStore) -> None:
    first, second, third = used(store, FIRST), used(store, SECOND), stage(store, THIRD)
    assert store.pointers(NAME) == ModelPointers(second, first, is_trial=False)
    store.switch(NAME, third)
    assert store.pointers(NAME) == ModelPointers(third, second, is_trial=True)
    assert store.roll_back(NAME) == ModelPointers(second, first, is_trial=False)
    assert opened(store) == BIG + b"2"
    assert store.roll_back(NAME) == ModelPointers(first, first, is_trial=False)
    assert opened(store) == BIG
    with pytest.raises(StoreError, match="none is kept"):
        store.roll_back(NAME)


def test_the_first_model_that_fails_leaves_none(store: ModelStore) -> None:
    store.switch(NAME, stage(store, FIRST))
    assert store.roll_back(NAME) == ModelPointers("", "", is_trial=False)
    with pytest.raises(StoreError, match="none is kept"):
        store.roll_back(NAME)


def test_a_trial_that_was_cut_is_rolled_back_by_the_next_start(store: ModelStore) -> None:
    first = used(store, FIRST)
    store.switch(NAME, stage(store, SECOND))
    started = ModelStore(store.folder, max_bytes=1 << 20)
    assert started.recover() == [NAME]
    assert started.pointers(NAME) == ModelPointers(first, "", is_trial=False)
    assert opened(started) == BIG
    assert started.recover() == []


def test_a_trial_whose_note_is_damaged_is_rolled_back_too(store: ModelStore) -> None:
    first = used(store, FIRST)
    store.switch(NAME, stage(store, SECOND))
    (store.folder / NAME / "trial").write_bytes(b"\0" * 195)
    assert store.recover() == [NAME]
    assert store.pointers(NAME).current == first


def test_one_trial_at_a_time(store: ModelStore) -> None:
    first, second = stage(store, FIRST), stage(store, SECOND)
    store.switch(NAME, first)
    with pytest.raises(StoreError, match="is running"):
        store.switch(NAME, second)
    with pytest.raises(StoreError, match="not in use"):
        store.commit(NAME, second)
    store.roll_back(NAME)
    with pytest.raises(StoreError, match="not in use"):
        store.commit(NAME, first)


def test_what_is_not_there_cannot_be_used(store: ModelStore) -> None:
    with pytest.raises(StoreError, match="not there"):
        store.switch(NAME, "0" * 64)


@pytest.mark.parametrize("name", ["../x", "", "x/y", "a" * 65, "A", ".", "x\0"])
def test_a_name_from_outside_never_becomes_a_path(store: ModelStore, name: str) -> None:
    with pytest.raises(ValueError, match="name of a model"):
        store.pointers(name)
    with pytest.raises(ValueError, match="digest"):
        store.path(NAME, name)


@pytest.mark.parametrize(
    "target", ["/etc", "content/../../etc", "content/x", "content/" + "0" * 63]
)
def test_a_link_that_leads_elsewhere_is_told(store: ModelStore, target: str) -> None:
    used(store, FIRST)
    durable.switch_link(store.folder / NAME / "current", target)
    with pytest.raises(StoreError, match="leads to"):
        store.pointers(NAME)


def test_equal_files_are_not_fetched_again_and_take_no_room(store: ModelStore) -> None:
    first = used(store, FIRST)
    missing = Staging(store, SECOND.data).missing()
    assert [blob.length for blob in missing] == [len(BIG) + 1]
    second = stage(store, SECOND)
    places = [store.path(NAME, digest) / "model/labels.txt" for digest in (first, second)]
    assert places[0].stat().st_ino == places[1].stat().st_ino


def test_an_equal_file_that_was_changed_at_rest_is_fetched(store: ModelStore) -> None:
    digest = used(store, FIRST)
    labels = store.path(NAME, digest) / "model/labels.txt"
    labels.chmod(0o644)
    labels.write_bytes(b"tamper\n")
    assert len(Staging(store, SECOND.data).missing()) == 2
    assert store.verify(NAME, stage(store, SECOND)) > 0


def test_a_cut_download_goes_on_where_it_ended(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    blob = max(staging.missing(), key=lambda one: one.length)
    with staging.incoming(blob) as incoming:
        incoming.write(BIG[:20_000])
    again = Staging(ModelStore(store.folder, max_bytes=1 << 20), FIRST.data)
    with again.incoming(blob) as incoming:
        assert incoming.offset == 20_000
        incoming.write(BIG[20_000:])
    assert blob not in again.missing()


def test_a_model_that_is_there_already_needs_nothing(store: ModelStore) -> None:
    digest = stage(store, FIRST)
    staging = Staging(store, FIRST.data)
    assert staging.missing() == []
    assert staging.finish() == digest


def test_more_than_was_said_is_refused_before_it_is_written(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    blob = staging.missing()[0]
    with staging.incoming(blob) as incoming, pytest.raises(TrustError, match="got more"):
        incoming.write(bytes(blob.length + 1))
    assert sum(path.stat().st_size for path in store.folder.rglob("*.part")) == 0


def test_other_content_than_was_said_is_refused_and_forgotten(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    blob = staging.missing()[0]
    with staging.incoming(blob) as incoming, pytest.raises(TrustError, match="digest"):
        incoming.write(bytes(blob.length))
    assert blob in staging.missing()
    fetch(staging, blob, FIRST)
    assert blob not in staging.missing()


def test_what_a_power_cut_tore_is_nobodys_forgery_and_begins_anew(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    blob = next(one for one in staging.missing() if one.length == len(BIG))
    with staging.incoming(blob) as incoming:
        incoming.write(bytes(100))  # zeros, where the bytes of BIG had been on their way
    with staging.incoming(blob) as incoming, pytest.raises(StoreError, match="from its start"):
        incoming.write(BIG[incoming.offset :])
    with staging.incoming(blob) as incoming:
        assert incoming.offset == 0
        incoming.write(BIG)
    assert blob not in staging.missing()


def test_what_is_not_whole_is_no_content(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    fetch(staging, staging.missing()[0], FIRST)
    with pytest.raises(StoreError, match="1 are missing"):
        staging.finish()
    assert store.digests(NAME) == []


def test_a_part_left_longer_than_it_may_be_begins_anew(store: ModelStore) -> None:
    staging = Staging(store, FIRST.data)
    blob = staging.missing()[0]
    with staging.incoming(blob):
        pass
    next(store.folder.rglob("*.part")).write_bytes(bytes(blob.length + 5))
    fetch(staging, blob, FIRST)
    assert blob not in staging.missing()


TAMPERED: Final[dict[str, Callable[[Path], object]]] = {
    "a bit": lambda place: _rewrite(place / "model/m.onnx", b"v" + BIG[1:]),
    "a byte more": lambda place: _rewrite(place / "model/m.onnx", BIG + b"x"),
    "a file more": lambda place: (place / "model/.hidden").touch(),
    "a file less": lambda place: (place / "model/labels.txt").unlink(),
    "a link instead": lambda place: _relink(place / "model/labels.txt"),
    "a folder that is a link": lambda place: (place / "model/extra").symlink_to("/etc"),
    "the manifest": lambda place: _rewrite(place / "manifest.json", SECOND.data),
}


def _rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def _relink(path: Path) -> None:
    path.rename(path.parent.parent.parent / "moved")
    path.symlink_to(path.parent.parent.parent / "moved")


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_changed_at_rest_is_seen(store: ModelStore, case: str) -> None:
    digest = used(store, FIRST)
    TAMPERED[case](store.path(NAME, digest))
    with pytest.raises(TrustError):
        store.verify(NAME, digest)


def test_the_oldest_goes_first_and_never_what_is_in_use(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, max_bytes=4 * len(BIG) - 10_000)
    first, second, third = (used(store, made) for made in (FIRST, SECOND, THIRD))
    assert store.digests(NAME) == [first, second, third]
    fourth = stage(store, make({"m.onnx": BIG + b"4"}))
    assert store.digests(NAME) == [second, third, fourth]
    assert store.pointers(NAME) == ModelPointers(third, second, is_trial=False)
    store.switch(NAME, fourth)
    with pytest.raises(StoreError, match="in use"):
        store.remove(NAME, second)  # what a failed trial would return the last good one to
    with pytest.raises(StoreError, match="max_mb"):
        stage(store, make({"m.onnx": BIG + b"5"}))
    assert store.digests(NAME) == [second, third, fourth]


def test_what_can_never_fit_is_refused_before_anything_is_removed(store: ModelStore) -> None:
    old = [used(store, made) for made in (FIRST, SECOND, THIRD)]
    huge = make({"m.onnx": bytes(1 << 20)})
    with pytest.raises(StoreError, match="expected room for"):
        Staging(store, huge.data)
    assert store.digests(NAME) == old
    assert list((store.folder / NAME / "staging").iterdir()) == []


def test_a_disk_that_is_too_full_is_told_before_the_first_byte(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelStore, "_free", lambda _: 1000)
    with pytest.raises(StoreError, match="the disk has 1000"):
        Staging(store, FIRST.data)
    assert store.digests(NAME) == []


@pytest.mark.thorough
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("is_lasting", [False, True])
def test_a_disk_that_fails_at_any_step_changes_nothing_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_lasting: bool
) -> None:
    for step in range(1, MAX_STEPS):
        store = ModelStore(tmp_path / str(step), max_bytes=1 << 20)
        first = used(store, FIRST)
        disk = FailingDisk(step, code, is_lasting=is_lasting)
        monkeypatch.setattr(durable, "disk", disk)
        try:
            used(store, SECOND)
        except StoreError:
            failed = True
        else:
            failed = False
        monkeypatch.setattr(durable, "disk", os)
        if len(disk.changes) < step:
            assert not failed
            return
        store.recover()
        second = SECOND.digest
        assert store.pointers(NAME).current in {first, second}, f"step {step}: {disk.changes[-1]}"
        assert not store.pointers(NAME).is_trial
        assert opened(store) in {BIG, BIG + b"2"}
        for digest in store.digests(NAME):
            store.verify(NAME, digest)
        used(store, SECOND)  # and the next try succeeds
        assert store.pointers(NAME).current == second
    pytest.fail(f"no end after {MAX_STEPS} steps")


def test_a_removal_that_was_cut_is_finished(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stage(store, FIRST)
    monkeypatch.setattr(durable, "disk", FailingDisk(6, errno.EIO))
    with pytest.raises(StoreError):
        store.remove(NAME, first)
    monkeypatch.setattr(durable, "disk", os)
    assert store.digests(NAME) == []
    store.recover()
    assert list((store.folder / NAME / "staging").iterdir()) == []
