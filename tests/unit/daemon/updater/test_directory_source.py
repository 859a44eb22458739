from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.daemon.updater.directory_source import DirectorySource
from vedette.daemon.updater.sources import folder_of, open_source, places
from vedette.errors import AbsentError, ConfigError, FetchError


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    for name in ("metadata", "targets/a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "metadata/timestamp.json").write_text("{}")
    (tmp_path / "targets/a/file").write_bytes(b"content")
    return tmp_path


@pytest.fixture
def source(stick: Path) -> DirectorySource:
    return DirectorySource(stick / "metadata", stick / "targets")


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/etc/passwd", "a//file", "./a/file", "a/", "", "a\0b", "a"],
)
def test_no_way_leads_out_or_to_a_folder(path: str, source: DirectorySource) -> None:
    with pytest.raises(AbsentError):
        source.target(path, ((0, 1),))


def test_a_quoted_way_out_is_none(source: DirectorySource) -> None:
    with pytest.raises(AbsentError):
        source.metadata("..%2Fsecret", 100)


def test_links_are_not_followed(stick: Path, source: DirectorySource) -> None:
    (stick / "targets/link").symlink_to(stick / "secret")
    (stick / "targets/folder").symlink_to(stick)
    (stick / "metadata/2.root.json").symlink_to(stick / "secret")
    for path in ("link", "folder/secret"):
        with pytest.raises(FetchError):
            source.target(path, ((0, 1),))
    with pytest.raises(FetchError):
        source.metadata("2.root.json", 100)


def test_a_pipe_or_a_device_does_not_hold_us(stick: Path, source: DirectorySource) -> None:
    os.mkfifo(stick / "targets/pipe")
    with pytest.raises(AbsentError, match="plain file"):
        source.target("pipe", ((0, 1),))
    devices = DirectorySource(Path("/dev"), Path("/dev"))
    with pytest.raises(AbsentError, match="plain file"):
        devices.metadata("zero", 100)


def test_a_stick_that_is_not_there_is_no_absent_file(tmp_path: Path) -> None:
    gone = DirectorySource(tmp_path / "no", tmp_path / "no")
    with pytest.raises(FetchError, match="cannot be opened") as error:
        gone.metadata("timestamp.json", 100)
    assert not isinstance(error.value, AbsentError)


def test_a_place_is_a_folder_or_a_server(tmp_path: Path) -> None:
    assert folder_of("/media/usb") == folder_of("file:///media/usb") == Path("/media/usb")
    assert folder_of("file:///media/my%20stick") == Path("/media/my stick")
    assert folder_of("https://releases.example/x") is None
    assert places("https://releases.example/x/") == (
        "https://releases.example/x/metadata",
        "https://releases.example/x/targets",
    )


@pytest.mark.parametrize(
    "place", ["", "relative", "ftp://x/y", "file://host/x", "http:///x", "https://[::1", "http:x"]
)
def test_what_is_no_place_is_told(place: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL"):
        open_source(place)


def test_a_server_and_a_folder_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="two folders or two URLs"):
        open_source("http://x.example/", "/media/usb")


@pytest.mark.parametrize("edge", [2**31, 2**32, 2**33])
def test_offsets_around_the_edges_of_32_bits_are_right(
    edge: int, stick: Path, source: DirectorySource
) -> None:
    with (stick / "targets/big").open("wb") as file:  # sparse: it takes a block
        file.seek(edge - 3)
        file.write(b"abcdef")
    reader = source.target("big", ((edge - 4, 2), (edge - 1, 2), (edge + 2, 1)))
    found, buffer = bytearray(), memoryview(bytearray(100))
    while count := reader.readinto(buffer):
        found += buffer[:count]
    assert bytes(found) == b"\0acdf"
