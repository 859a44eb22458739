from __future__ import annotations

import os
import socket

import pytest

from vedette.sensors import _owners
from vedette.sensors._owners import OwnerFinder


def inode_of(opened: socket.socket) -> int:
    return os.fstat(opened.fileno()).st_ino


def test_the_holder_of_a_socket_is_found_and_counted() -> None:
    with socket.socket(socket.AF_UNIX) as held:
        finder = OwnerFinder()
        assert finder.find([inode_of(held), 0], 1.0) == {inode_of(held): os.getpid()}
        assert finder.counts == {"owner_sought": 1, "owner_found": 1, "owner_skipped": 0}


def test_a_known_socket_that_was_closed_is_no_longer_believed() -> None:
    finder = OwnerFinder()
    held = socket.socket(socket.AF_UNIX)
    inode = inode_of(held)
    assert finder.find([inode], 1.0)
    held.close()
    assert finder.find([inode], 1.0) == {}
    assert inode not in finder._known


@pytest.fixture
def crowded(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine of 50 processes with 100 descriptors each, none of which holds the socket."""
    looked_at: list[str] = []

    def listdir(folder: str) -> list[str]:
        return [str(n) for n in range(1000, 1050 if folder == "/proc" else 1100)]

    def readlink(path: str) -> str:
        looked_at.append(path)
        return "pipe:[1]"

    monkeypatch.setattr("os.listdir", listdir)
    monkeypatch.setattr("os.readlink", readlink)
    return looked_at


def test_a_failing_search_is_bounded_per_batch_and_per_second(crowded: list[str]) -> None:
    finder = OwnerFinder()
    finder.find([1], 1.0)
    assert len(crowded) <= 2 * _owners.LINKS_PER_BATCH
    for _ in range(100):
        finder.find([1], 1.5)
    a_second = _owners.WIDE_LINKS_PER_SECOND + _owners.LIKELY_LINKS_PER_SECOND
    assert len(crowded) <= a_second
    assert finder.counts["owner_skipped"] > 0
    spent = len(crowded)
    finder.find([1], 2.0)
    assert len(crowded) > spent


def test_failures_leave_a_budget_for_the_likeliest(crowded: list[str]) -> None:
    finder = OwnerFinder()
    for _ in range(_owners.WIDE_LINKS_PER_SECOND // _owners.LINKS_PER_BATCH + 2):
        finder.find([1], 1.0)
    spent = len(crowded)
    finder.find([1], 1.0)
    assert len(crowded) > spent
    assert all("/1049/" in path or "/104" in path for path in crowded[spent:])


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = OwnerFinder()
    for number in range(2 * _owners.KNOWN_SOCKETS):
        finder._remember(number, number, "")
    assert len(finder._known) == _owners.KNOWN_SOCKETS
    assert len(finder._recent) == _owners.RECENT_PIDS
