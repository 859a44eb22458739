"""A repository in a tar archive: read in place, or refused whole, whatever is in it."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.daemon.updater.archive_source import ArchiveSource
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.daemon.updater.sources import open_source, places
from vedette.errors import AbsentError, FetchError

CONTENT = bytes(range(256)) * 40
LONG = "n" * 120


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(
    path: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT
) -> Path:
    with tarfile.open(path, "w", format=form) as made:
        for info, data in members:
            made.addfile(info, io.BytesIO(data))
    return path


GOOD = (
    member("metadata", type=tarfile.DIRTYPE),
    member("metadata/1.root.json", b"root"),
    member("targets/firmware/cam/abc.img", CONTENT),
    member(f"targets/firmware/cam/{LONG}", b"long"),
    member("README", b"for people"),
)


def read(source: ArchiveSource, path: str, *runs: tuple[int, int]) -> bytes:
    reader, found = source.target(path, runs), b""
    buffer = memoryview(bytearray(1000))
    while count := reader.readinto(buffer):
        found += bytes(buffer[:count])
    return found


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("top", ["", "./", "public/"])
def test_what_is_in_it_is_read(tmp_path: Path, form: int, top: str) -> None:
    members = [member(f"{top}{info.name}", data, type=info.type) for info, data in GOOD]
    source = ArchiveSource(archive(tmp_path / "a.tar", *members, form=form))
    assert source.metadata("1.root.json", 4) == b"root"
    assert read(source, "firmware/cam/abc.img", (0, len(CONTENT))) == CONTENT
    assert read(source, "firmware/cam/abc.img", (3, 4), (5000, 10)) == (
        CONTENT[3:7] + CONTENT[5000:5010]
    )
    assert read(source, f"firmware/cam/{LONG}", (0, 4)) == b"long"


def test_an_archive_that_tar_made_is_read(tmp_path: Path) -> None:
    place = tmp_path / "public" / "targets" / "rules" / ("d" * 90)
    place.mkdir(parents=True)
    (place / LONG).write_bytes(CONTENT)
    argv = ["tar", "-C", str(tmp_path / "public"), "-cf", str(tmp_path / "a.tar"), "targets"]
    subprocess.run(argv, check=True)
    source = ArchiveSource(tmp_path / "a.tar")
    assert read(source, f"rules/{'d' * 90}/{LONG}", (100, 300)) == CONTENT[100:400]


@pytest.mark.parametrize("name", ["2.root.json", "", "../README", "1.root.json/x", "%2e%2e/README"])
def test_what_is_not_in_it_is_absent(tmp_path: Path, name: str) -> None:
    source = ArchiveSource(archive(tmp_path / "a.tar", *GOOD))
    with pytest.raises(AbsentError):
        source.metadata(name, 100)


def test_more_than_is_there_or_wanted_is_told(tmp_path: Path) -> None:
    source = ArchiveSource(archive(tmp_path / "a.tar", *GOOD))
    with pytest.raises(FetchError, match="expected at most 3 bytes, got 4"):
        source.metadata("1.root.json", 3)
    for runs in ([(len(CONTENT) - 1, 2)], [(len(CONTENT), 1)], [(2**32, 1)], [(2**31, 1)]):
        with pytest.raises(FetchError, match="found its end"):
            read(source, "firmware/cam/abc.img", *runs)


def bomb(path: Path) -> Path:
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    return path


def cut(path: Path) -> Path:
    archive(path, *GOOD)
    os.truncate(path, 3000)
    return path


def patched(path: Path, size: bytes) -> Path:
    """The first file says another size, under a checksum that holds."""
    data = bytearray(archive(path, member("metadata/1.root.json", b"root")).read_bytes())
    data[124:136] = size
    data[148:156] = b"%06o\0 " % sum(data[:148] + b" " * 8 + data[156:512])
    path.write_bytes(data)
    return path


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a symbolic link": (
        lambda p: archive(p, *GOOD, member("targets/x", type=tarfile.SYMTYPE, linkname="/etc")),
        "files and folders alone",
    ),
    "a hard link": (
        lambda p: archive(p, *GOOD, member("targets/x", type=tarfile.LNKTYPE, linkname="README")),
        "files and folders alone",
    ),
    "a device": (
        lambda p: archive(p, *GOOD, member("targets/x", type=tarfile.BLKTYPE, devmajor=8)),
        "files and folders alone",
    ),
    "a pipe": (
        lambda p: archive(p, *GOOD, member("targets/x", type=tarfile.FIFOTYPE)),
        "files and folders alone",
    ),
    "a way out": (
        lambda p: archive(p, *GOOD, member("targets/../../etc/passwd", b"x")),
        "below the archive's own folder",
    ),
    "an absolute name": (
        lambda p: archive(p, *GOOD, member("/etc/passwd", b"x")),
        "below the archive's own folder",
    ),
    "a name twice": (
        lambda p: archive(p, *GOOD, member("./metadata/1.root.json", b"evil")),
        "each name once",
    ),
    "a name of 4096 bytes": (
        lambda p: archive(p, *GOOD, member("targets/" + "n" * 4088, b"x")),
        "at most 1024 bytes of a name",
    ),
    "a name of 4096 bytes in an extended header": (
        lambda p: archive(p, member("targets/" + "n" * 4088, b"x"), form=tarfile.PAX_FORMAT),
        "at most 1024 bytes of a name",
    ),
    "an extended header without end": (
        lambda p: archive(
            p, member("x", b"x", pax_headers={"comment": "c" * 9000}), form=tarfile.PAX_FORMAT
        ),
        "at most 8192 bytes of a extended header",
    ),
    "a size of 2^31": (lambda p: patched(p, b"%011o\0" % 2**31), "it ends"),
    "a size of 2^32": (lambda p: patched(p, b"%011o\0" % 2**32), "it ends"),
    "a size of 2^61": (lambda p: patched(p, b"\x80" + (2**61).to_bytes(11, "big")), "it ends"),
    "a size below nothing": (lambda p: patched(p, b"\xff" * 12), "octal digits"),
    "something compressed": (bomb, "expected a header of tar|octal digits"),
    "a cut archive": (cut, "it ends|found its end"),
    "no archive": (lambda p: (p.write_bytes(b"x" * 600), p)[1], "octal digits"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_whole_and_says_why(tmp_path: Path, what: str) -> None:
    make, words = HOSTILE[what]
    source = ArchiveSource(make(tmp_path / "a.tar"))
    with pytest.raises(FetchError, match=words) as caught:
        source.metadata("1.root.json", 100)
    assert not isinstance(caught.value, AbsentError)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nothing"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tar"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(archive(tmp_path / "real.tar", *GOOD))
    with pytest.raises(FetchError, match=r"plain file|cannot be opened"):
        ArchiveSource(path)


def test_a_place_that_is_a_file_is_an_archive(tmp_path: Path) -> None:
    archive(tmp_path / "a.tar", *GOOD)
    source = open_source(*places(str(tmp_path / "a.tar")))
    assert isinstance(source, ArchiveSource)
    assert isinstance(open_source(*places(str(tmp_path))), DirectorySource)
