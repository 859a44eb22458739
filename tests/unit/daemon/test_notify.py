"""sd_notify: what arrives on the manager's socket, and silence without one."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from vedette.daemon.notify import Notifier


def listening(address: str) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(5)
    return manager


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    assert not any((notifier.ready(), notifier.status("x"), notifier.watchdog()))
    assert notifier.watchdog_period_s == 0.0


@pytest.mark.parametrize("is_abstract", [False, True])
def test_words_arrive_at_paths_and_abstract_names(is_abstract: bool, tmp_path: Path) -> None:  # noqa: FBT001
    name = f"vedette-test-{os.getpid()}"
    path = str(tmp_path / "notify")
    with listening("\0" + name if is_abstract else path) as manager:
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name if is_abstract else path})
        assert notifier.ready("process: audit\nfile: fanotify")
        assert manager.recv(999) == b"READY=1\nSTATUS=process: audit file: fanotify"
        assert notifier.watchdog()
        assert manager.recv(999) == b"WATCHDOG=1"
        assert notifier.status("x" * 999)
        assert manager.recv(999) == b"STATUS=" + b"x" * 200
        assert notifier.reloading()
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(999))
        assert notifier.stopping()
        assert manager.recv(999) == b"STOPPING=1"


def test_another_time_between_signs_of_life_is_asked_of_a_manager_that_watches(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "notify")
    with listening(path) as manager:
        notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000"})
        assert notifier.allow(300.0)
        assert manager.recv(999) == b"WATCHDOG_USEC=300000000\nWATCHDOG=1"
        assert not Notifier({"NOTIFY_SOCKET": path}).allow(300.0)
        assert notifier.ready()
        assert manager.recv(999) == b"READY=1"


def test_a_manager_that_is_gone_or_full_never_blocks(tmp_path: Path) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()
    assert not Notifier({"NOTIFY_SOCKET": "relative"}).ready()
    with listening(str(tmp_path / "full")):
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "full")})
        assert any(not notifier.watchdog() for _ in range(10_000))


@pytest.mark.parametrize(
    ("environment", "period_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
        ({"WATCHDOG_USEC": "²"}, 0.0),
        ({"WATCHDOG_USEC": "9" * 400}, 0.0),
    ],
)
def test_watchdog_period(environment: dict[str, str], period_s: float) -> None:
    assert Notifier(environment).watchdog_period_s == period_s
