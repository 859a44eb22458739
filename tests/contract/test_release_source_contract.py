"""What every source of releases promises (ports/release_source.py), run on each implementation."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import MemorySource, Repository

from vedette.daemon.frame_stream import FrameStream
from vedette.daemon.installer.linked_source import LinkedSource
from vedette.daemon.updater.connections import Connections
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.daemon.updater.http_source import HttpSource
from vedette.daemon.updater.metadata_cache import CachedSource
from vedette.daemon.updater.pace import Pace
from vedette.daemon.updater.service import UpdaterService
from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import Reader, ReleaseSource

CONTENT = bytes(range(256)) * 5000
PATH = "firmware/cam/ab.img"
Make = Callable[[Repository, Path], AbstractContextManager[ReleaseSource]]


@pytest.fixture(scope="module")
def repository() -> Repository:
    one = Repository()
    one.targets[PATH] = CONTENT
    one.files["1.%3F%2F...json"] = b"a role of an odd name"
    return one


@contextmanager
def memory(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    yield MemorySource(repository)


@contextmanager
def directory(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    for base, files in (("metadata", repository.files), ("targets", repository.targets)):
        for name, data in files.items():
            place = folder / base / name.replace("%3F", "?").replace("%2F", "/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    yield DirectorySource(folder / "metadata", folder / "targets")


@contextmanager
def http(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    with RepositoryServer(repository) as server, http_source(server) as source:
        yield source


@contextmanager
def http_without_ranges(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    with RepositoryServer(repository) as server, http_source(server) as source:
        server.ignores_ranges = True
        yield source


@contextmanager
def http_source(server: RepositoryServer) -> Iterator[ReleaseSource]:
    connections = Connections()
    yield HttpSource(
        f"{server.url}/metadata",
        f"{server.url}/targets",
        connections=connections,
        pace=Pace(),
        sleep=lambda _: None,
    )
    connections.close()


@contextmanager
def cached(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    yield CachedSource(MemorySource(repository), folder / "cache")


@contextmanager
def linked(repository: Repository, folder: Path) -> Iterator[ReleaseSource]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    service = UpdaterService(FrameStream(theirs), MemorySource(repository), lambda: None)
    thread = threading.Thread(target=service.run)
    thread.start()
    source = LinkedSource(ours, silence_s=20)
    yield source
    source.leave()
    thread.join(20)
    theirs.close()


@pytest.fixture(params=[memory, directory, http, http_without_ranges, cached, linked])
def source(
    request: pytest.FixtureRequest, repository: Repository, tmp_path: Path
) -> Iterator[ReleaseSource]:
    make: Make = request.param
    with make(repository, tmp_path) as one:
        yield one


def read(reader: Reader, piece: int = 70_000) -> bytes:
    found, buffer = bytearray(), memoryview(bytearray(piece))
    while count := reader.readinto(buffer):
        found += buffer[:count]
    assert reader.readinto(buffer) == 0, "its end stays its end"
    return bytes(found)


def _read_on(reader: Reader, had: bytearray) -> None:
    buffer = memoryview(bytearray(100))
    while count := reader.readinto(buffer):
        had += buffer[:count]


def test_metadata_comes_whole(source: ReleaseSource, repository: Repository) -> None:
    assert source.metadata("timestamp.json", 16384) == repository.files["timestamp.json"]
    assert source.metadata("1.root.json", 16384) == repository.files["1.root.json"]


def test_metadata_of_exactly_the_bound_comes(source: ReleaseSource, repository: Repository) -> None:
    length = len(repository.files["1.root.json"])
    assert len(source.metadata("1.root.json", length)) == length
    with pytest.raises(FetchError, match="at most"):
        source.metadata("1.root.json", length - 1)


def test_a_name_is_quoted_as_in_urls(source: ReleaseSource) -> None:
    assert source.metadata("1.%3F%2F...json", 100) == b"a role of an odd name"


def test_what_is_not_there_is_absent(source: ReleaseSource) -> None:
    with pytest.raises(AbsentError):
        source.metadata("99.root.json", 100)
    with pytest.raises(AbsentError):
        read(source.target("firmware/cam/none", ((0, 1),)))


def test_a_target_comes_whole(source: ReleaseSource) -> None:
    assert read(source.target(PATH, ((0, len(CONTENT)),))) == CONTENT


def test_a_target_goes_on_from_an_offset(source: ReleaseSource) -> None:
    start = 700_001
    assert read(source.target(PATH, ((start, len(CONTENT) - start),))) == CONTENT[start:]


def test_parts_come_back_to_back(source: ReleaseSource) -> None:
    runs = ((3, 5), (8, 1), (4096, 4096), (500_000, 10), (1_000_000, 4096))
    expected = b"".join(CONTENT[start : start + count] for start, count in runs)
    assert read(source.target(PATH, runs), piece=333) == expected


def test_more_than_there_is_breaks_off_after_what_there_is(source: ReleaseSource) -> None:
    reader, had = source.target(PATH, ((len(CONTENT) - 10, 20),)), bytearray()
    with pytest.raises(FetchError):
        _read_on(reader, had)
    assert bytes(had) == CONTENT[-10:]


def test_a_reader_that_is_left_does_not_spoil_the_next_answer(
    source: ReleaseSource, repository: Repository
) -> None:
    reader = source.target(PATH, ((0, len(CONTENT)),))
    reader.readinto(memoryview(bytearray(10)))
    assert source.metadata("timestamp.json", 16384) == repository.files["timestamp.json"]
    assert read(source.target(PATH, ((0, 300_000),))) == CONTENT[:300_000]


def test_after_something_absent_it_goes_on(source: ReleaseSource, repository: Repository) -> None:
    with pytest.raises(AbsentError):
        source.metadata("2.root.json", 100)
    assert source.metadata("timestamp.json", 16384) == repository.files["timestamp.json"]
