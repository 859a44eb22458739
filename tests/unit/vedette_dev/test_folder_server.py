"""A folder is served whole and in parts, and nothing beside it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette_dev.folder_server import FolderServer

DATA = bytes(range(256)) * 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    folder = tmp_path / "served"
    (folder / "targets").mkdir(parents=True)
    (folder / "targets/a%2Fb.img").write_bytes(DATA)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with FolderServer(folder) as server:
        yield server


def ask(server: FolderServer, path: str, asked: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Range": asked} if asked else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_whole_file(server: FolderServer) -> None:
    assert ask(server, "/targets/a%2Fb.img") == (200, DATA)
    assert server.sent_bytes == len(DATA)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-0", DATA[:1]), ("bytes=1000-", DATA[1000:]), ("bytes=1020-9999", DATA[1020:])],
)
def test_a_part(server: FolderServer, asked: str, expected: bytes) -> None:
    assert ask(server, "/targets/a%2Fb.img", asked) == (206, expected)


def test_a_part_behind_the_end(server: FolderServer) -> None:
    assert ask(server, "/targets/a%2Fb.img", "bytes=1024-")[0] == 416


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/link", "/targets", "/none"])
def test_nothing_beside_the_folder(server: FolderServer, path: str) -> None:
    assert ask(server, path)[0] == 404
