"""Responses on files against real mounts: read-only, full, layered, mounted over, and races."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.simulators.file_state import context, file_state, order_on
from tests.simulators.good_files import MemoryBaseline, MemoryGoodCopies, record_of
from tests.simulators.mounts import mounted

from vedette.errors import ResponseError
from vedette.model.response import Outcome, ResponseStatus
from vedette.responses import _vault
from vedette.responses.quarantine import Quarantine
from vedette.responses.restore_file import RestoreFile

pytestmark = pytest.mark.usefixtures("as_root")

NOBODY = 65534
ROUNDS = 60


def run(*argv: str | Path) -> None:
    subprocess.run([str(word) for word in argv], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "size=4m,mode=755") as point:
        yield point


def drop(folder: Path) -> Path:
    file = folder / "evil"
    file.write_bytes(b"evil" * 1000)
    file.chmod(0o4755)
    return file


def fill(folder: Path) -> None:
    def write() -> None:
        with (folder / "filler").open("wb", 0) as filler:
            while True:
                filler.write(bytes(1 << 16))

    with pytest.raises(OSError, match="No space"):
        write()


def test_on_a_read_only_disk_nothing_can_be_taken(disk: Path, tmp_path: Path) -> None:
    file = drop(disk)
    quarantine, order = Quarantine(context(tmp_path)), order_on(file)
    run("mount", "-o", "remount,ro", disk)
    before = file_state(file)
    record = quarantine.plan(order)
    outcome = quarantine.act(order, record)
    assert outcome.status is ResponseStatus.FAILED, outcome
    assert "read-only: nothing can be moved there, deny its execution" in outcome.detail
    assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(file) == before


def test_on_a_read_only_disk_nothing_can_be_restored(disk: Path, tmp_path: Path) -> None:
    file = drop(disk)
    copies = MemoryGoodCopies()
    copies.take(file)
    baseline = MemoryBaseline(record_of(file))
    file.write_bytes(b"worse")
    responder = RestoreFile(context(tmp_path, baseline=baseline, good_copies=copies))
    order = order_on(file, responder="restore_file")
    run("mount", "-o", "remount,ro", disk)
    record = responder.plan(order)
    outcome = responder.act(order, record)
    assert outcome.status is ResponseStatus.FAILED, outcome
    assert "read-only" in outcome.detail
    assert file.read_bytes() == b"worse"


@pytest.mark.parametrize("spared", [0, _vault.SPARED_BYTES])
def test_a_store_that_is_full_keeps_it_beside(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: int
) -> None:
    monkeypatch.setattr(_vault, "SPARED_BYTES", spared)
    (tmp_path / "place").mkdir()
    file = drop(tmp_path / "place")
    before = file_state(file)
    quarantine, order = Quarantine(context(disk)), order_on(file)
    fill(disk)
    record = quarantine.plan(order)
    outcome = quarantine.act(order, record)
    assert outcome.status is ResponseStatus.DONE, outcome
    assert outcome.facts["stored"] == "beside"
    assert not file.exists()
    assert [path.name for path in (disk / "state").iterdir()] == []
    assert quarantine.holds(order, record)
    assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(file) == before
    assert list(file.parent.iterdir()) == [file]


def test_on_a_disk_that_takes_no_name_more_its_mode_is_taken(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=4") as disk:
        file = drop(disk)
        for number in range(2):
            (disk / str(number)).touch()
        before = file_state(file)
        quarantine, order = Quarantine(context(tmp_path)), order_on(file)
        record = quarantine.plan(order)
        outcome = quarantine.act(order, record)
        assert outcome.status is ResponseStatus.PARTLY, outcome
        assert "No space left" in outcome.detail
        assert file.stat().st_mode & 0o7777 == 0
        assert quarantine.holds(order, record)
        assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(file) == before


def test_a_full_disk_does_not_keep_a_file_from_being_taken(disk: Path) -> None:
    """The store on the same full file system: only a name changes."""
    (disk / "place").mkdir()
    (disk / "store").mkdir()
    file = drop(disk / "place")
    before = file_state(file)
    quarantine, order = Quarantine(context(disk / "store")), order_on(file)
    fill(disk)
    record = quarantine.plan(order)
    assert quarantine.act(order, record).status is ResponseStatus.DONE
    assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
    assert file_state(file) == before


def test_what_is_mounted_on_the_file_is_not_the_file(tmp_path: Path) -> None:
    """Else the mode would be taken from the file that is shown there."""
    place = tmp_path / "place"
    place.mkdir()
    file, precious = drop(place), place / "precious"
    precious.write_bytes(b"precious")
    precious.chmod(0o755)
    quarantine, order = Quarantine(context(tmp_path)), order_on(file)
    record = quarantine.plan(order)
    run("mount", "--bind", precious, file)
    try:
        with pytest.raises(ResponseError, match="something is mounted on"):
            quarantine.plan(order)
        outcome = quarantine.act(order, record)
        assert outcome.status is ResponseStatus.REFUSED, outcome
        assert precious.stat().st_mode & 0o7777 == 0o755
    finally:
        run("umount", file)
    assert quarantine.act(order, record).status is ResponseStatus.DONE
    assert precious.stat().st_mode & 0o7777 == 0o755


def test_without_its_file_system_it_does_not_come_back_elsewhere(tmp_path: Path) -> None:
    quarantine, options = Quarantine(context(tmp_path)), "size=1m,mode=755"
    with mounted(tmp_path / "disk", options) as disk:
        file = drop(disk)
        before, order = file_state(file), order_on(file)
        record = quarantine.plan(order)
        assert quarantine.act(order, record).status is ResponseStatus.DONE
    outcome = quarantine.undo(order, record)
    assert outcome.status is ResponseStatus.REFUSED, outcome
    assert f"mounted on {disk}: mount that and undo again" in outcome.detail
    assert list(disk.iterdir()) == []
    with mounted(disk, options):
        assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(file) == before


def test_on_layers_it_is_taken_and_comes_back(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    drop(tmp_path / "lower")
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    with mounted(tmp_path / "root", layers, "overlay") as root:
        file = root / "evil"
        before = file_state(file)
        quarantine, order = Quarantine(context(tmp_path)), order_on(file)
        record = quarantine.plan(order)
        outcome = quarantine.act(order, record)
        assert outcome.status is ResponseStatus.DONE, outcome
        assert not file.exists()
        assert quarantine.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(file) == before
        inner = Quarantine(context(root / "var"))
        record = inner.plan(order)
        assert inner.act(order, record).status is ResponseStatus.DONE
        assert inner.undo(order, record).status is ResponseStatus.UNDONE
        assert file_state(file) == before


SWAPPER = """
import os, sys
from vedette.responses._file_calls import exchange
folder, one, other, uid = os.open(sys.argv[1], os.O_RDONLY), sys.argv[2], sys.argv[3], sys.argv[4]
os.setresuid(int(uid), int(uid), int(uid))
print("ready", flush=True)
while True:
    try:
        exchange(one, folder, other, folder)
    except OSError:
        pass
"""


@contextmanager
def swapping(folder: Path, one: str, other: str, uid: int = NOBODY) -> Iterator[None]:
    """Another process lets two names change places as fast as it can."""
    argv = [sys.executable, "-c", SWAPPER, str(folder), one, other, str(uid)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as swapper:
        try:
            assert swapper.stdout is not None
            assert swapper.stdout.readline() == b"ready\n"
            yield
        finally:
            swapper.kill()


def attempt(quarantine: Quarantine, file: Path, number: int) -> Outcome | None:
    """Take it and bring it back; None where there was no plan."""
    order = order_on(file, key=f"{number:016x}")
    try:
        record = quarantine.plan(order)
    except ResponseError:
        return None
    outcome = quarantine.act(order, record)
    undone = quarantine.undo(order, record)
    tries = 1000
    while undone.status is not ResponseStatus.UNDONE and "nothing to bring" not in undone.detail:
        assert tries, undone
        tries -= 1
        undone = quarantine.undo(order, record)
    return outcome


@pytest.mark.parametrize("where", ["same file system", "another one"])
def test_a_folder_swapped_for_a_link_never_leads_to_another_file(
    disk: Path, tmp_path: Path, where: str
) -> None:
    theirs, precious = disk / "theirs", disk / "precious"
    for folder in (theirs, theirs / "d", precious):
        folder.mkdir()
    drop(theirs / "d")
    os.chown(theirs, NOBODY, NOBODY)
    (theirs / "link").symlink_to(precious)
    os.lchown(theirs / "link", NOBODY, NOBODY)
    victim = drop(precious)
    before = file_state(victim)
    store = disk / "store" if where == "same file system" else tmp_path / "store"
    store.mkdir()
    quarantine = Quarantine(context(store))
    with swapping(theirs, "d", "link"):
        outcomes = [attempt(quarantine, theirs / "d" / "evil", n) for n in range(ROUNDS)]
        assert file_state(victim) == before
    assert list(precious.iterdir()) == [victim]
    assert any(outcomes), "never a moment in which the folder was there"


@pytest.mark.parametrize("where", ["same file system", "another one"])
def test_files_that_change_places_all_the_time_are_never_lost_or_mixed_up(
    disk: Path, tmp_path: Path, where: str
) -> None:
    theirs = disk / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    drop(theirs)
    victim = theirs / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o640)
    before = {file_state(path).content: file_state(path) for path in theirs.iterdir()}
    store = disk / "store" if where == "same file system" else tmp_path / "store"
    store.mkdir()
    quarantine = Quarantine(context(store))
    with swapping(theirs, "evil", "victim"):
        outcomes = [attempt(quarantine, theirs / "evil", number) for number in range(ROUNDS)]
    after = {file_state(path).content: file_state(path) for path in theirs.rglob("*")}
    assert after == before
    assert {outcome.status for outcome in outcomes if outcome} <= {
        ResponseStatus.DONE,
        ResponseStatus.REFUSED,
        ResponseStatus.FAILED,
    }
