"""Power cuts: the stores hold, and the same judge finds every store that does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.powercut import campaign, operations, recording, story
from tests.powercut.operations import RecordError
from tests.powercut.recording import NoCompilerError

SEED = 20_260_101
QUOTA = 4
CUTS = 60
"""States of a cut point, and cut points of a story: `make powercut` tries them all."""

CARELESS = {
    "UnsyncedFile": "neither old nor new: b''",
    "UnsyncedFolder": "file: expected 1 to 1, got 0",
    "NoSyncAtAll": "neither old nor new",
    "TornEnvironment": "neither old nor new",
    "BothCopiesAtOnce": "both copies are torn",
    "UnlinkThenLink": "there is no current link",
    "ArmedBeforeSync": "neither old nor new",
    "UnsyncedDatabase": "newest row: expected|malformed|not a database",
}

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    try:
        yield recording.build(tmp_path_factory.mktemp("recorder"))
    except NoCompilerError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", story.names())
def test_every_store_is_as_it_was_or_as_it_was_to_be(
    name: str, library: Path, tmp_path: Path
) -> None:
    if reason := story.load(name).refusal():
        pytest.skip(reason)
    found = recording.record(name, library, tmp_path)
    every = len(found.operations) // CUTS + 1
    outcome = campaign.run(name, found, QUOTA, SEED, (SEED % every, every))
    assert outcome.states >= outcome.cuts // 2
    assert outcome.bad == 0, "\n".join(outcome.told)


@pytest.mark.parametrize("name", CARELESS)
def test_a_careless_store_is_found_out(name: str, library: Path, tmp_path: Path) -> None:
    whole = f"tests.simulators.careless_stores:{name}"
    found = recording.record(whole, library, tmp_path)
    outcome = campaign.run(whole, found, 24, SEED)
    assert outcome.bad > 0
    assert any(_matches(CARELESS[name], told) for told in outcome.told), outcome.told


def _matches(pattern: str, text: str) -> bool:
    return any(part in text for part in pattern.split("|"))


CHANGES = """
import mmap, os, shutil, sqlite3, sys
from pathlib import Path
os.chdir(sys.argv[1])
Path("made").write_bytes(b"12345")
with open("made", "r+b") as file:
    file.seek(2)
    file.write(b"x")
    file.flush()
    os.fdatasync(file.fileno())
    file.truncate(4)
with open("made", "ab") as file:
    file.write(b"end")
os.mkdir("folder")
inside = os.open("folder", os.O_RDONLY)
os.rename("made", "moved", dst_dir_fd=inside)
os.link("folder/moved", "second")
shutil.copyfile("second", "copied")
os.symlink("../elsewhere", "pointer")
os.unlink("folder/moved")
os.rmdir("folder")
os.sync()
Path("/tmp").stat()
"""


def recorded(program: str, library: Path, folder: Path) -> list[operations.Operation]:
    root = folder / "root"
    root.mkdir()
    subprocess.run(
        [sys.executable, "-c", program, root],
        env={
            "LD_PRELOAD": str(library),
            "VEDETTE_RECORD_ROOT": str(root.resolve()),
            "VEDETTE_RECORD_LOG": str(folder / "log"),
        },
        check=True,
    )
    return operations.parse((folder / "log").read_bytes())


def test_the_recorder_sees_every_way_to_change_a_file(library: Path, tmp_path: Path) -> None:
    found = recorded(CHANGES, library, tmp_path)
    names = [
        f"{type(one).__name__} {getattr(one, 'new', '') or getattr(one, 'path', '')}".replace(
            str((tmp_path / "root").resolve()), ""
        ).strip()
        for one in found
    ]
    assert names == [
        "Made /made", "Written", "Written", "Synced", "Resized", "Written", "Made /folder",
        "Renamed /folder/moved", "Linked /second", "Made /copied", "Written", "Pointed /pointer",
        "Removed /folder/moved", "Removed /folder", "Synced",
    ]  # fmt: skip
    written = [(one.offset, one.data) for one in found if isinstance(one, operations.Written)]
    assert written == [(0, b"12345"), (2, b"x"), (4, b"end"), (0, b"12x4end")]


UNSEEN = {
    "a shared writable mapping": "f = open(p, 'w+b'); f.truncate(9); mmap.mmap(f.fileno(), 9)",
    "O_SYNC": "os.close(os.open(p, os.O_WRONLY | os.O_CREAT | os.O_SYNC))",
    "edge": "open('/tmp/x%d' % os.getpid(), 'w'); os.rename('/tmp/x%d' % os.getpid(), p)",
}


@pytest.mark.parametrize("what", UNSEEN)
def test_what_cannot_be_replayed_is_refused(what: str, library: Path, tmp_path: Path) -> None:
    setup = "import mmap, os, sys; p = sys.argv[1] + '/file'; "
    with pytest.raises(RecordError, match=f"{what}.*cannot be replayed"):
        recorded(setup + UNSEEN[what], library, tmp_path)
