"""The keeper's ear: who is heard, who is silent, and what goes on to a service manager."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.daemon.notify import Notifier
from vedette.daemon.watchdog import PERIOD_S, SILENT_S, SOCKET, START_S, Watchdog


@pytest.fixture(autouse=True)
def sigio_waits() -> Iterator[None]:
    """Each datagram raises SIGIO: the keeper blocks it, and so do we."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    yield
    signal.sigtimedwait({signal.SIGIO}, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def watchdog(tmp_path: Path) -> Iterator[Watchdog]:
    made = Watchdog(str(tmp_path), {})
    yield made
    made.close()


def test_the_signal_is_for_this_thread_even_where_another_one_would_take_it(
    watchdog: Watchdog,
) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})  # what a new thread inherits
    ends = threading.Event()
    other = threading.Thread(target=ends.wait)
    other.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    try:
        assert Notifier(watchdog.environment).ready()
        assert signal.SIGIO in signal.sigpending()
    finally:
        ends.set()
        other.join()


def test_one_that_is_not_ready_gets_longer_than_one_that_is(watchdog: Watchdog) -> None:
    sentinel = Notifier(watchdog.environment)
    watchdog.started(100.0)
    assert sentinel.status("checking the journal")
    watchdog.hear(110.0, is_stopping=False)
    assert watchdog.due_s == 100.0 + START_S
    assert sentinel.ready()
    watchdog.hear(120.0, is_stopping=False)
    assert not watchdog.is_silent(120.0 + SILENT_S - 1)
    assert watchdog.is_silent(120.0 + SILENT_S)


def test_every_word_gives_it_more_time(watchdog: Watchdog) -> None:
    sentinel = Notifier(watchdog.environment)
    watchdog.started(0.0)
    for now_s in (30.0, 80.0, 130.0):
        assert sentinel.watchdog()
        watchdog.hear(now_s, is_stopping=False)
        assert watchdog.due_s == now_s + SILENT_S


def test_what_has_ended_is_never_silent(watchdog: Watchdog) -> None:
    sentinel = Notifier(watchdog.environment)
    watchdog.started(0.0)
    watchdog.ended()
    assert sentinel.watchdog()
    watchdog.hear(1.0, is_stopping=False)
    assert not watchdog.is_silent(1e9)


def test_a_word_raises_sigio_so_that_nobody_polls(watchdog: Watchdog) -> None:
    assert signal.sigtimedwait({signal.SIGIO}, 0) is None
    assert Notifier(watchdog.environment).watchdog()
    assert signal.sigtimedwait({signal.SIGIO}, 0) is not None


def test_the_socket_is_roots_alone_and_goes_with_the_keeper(tmp_path: Path) -> None:
    stale = tmp_path / SOCKET
    stale.write_text("of a killed keeper")
    made = Watchdog(str(tmp_path), {})
    assert stale.is_socket()
    assert stale.stat().st_mode & 0o077 == 0
    made.close()
    assert not stale.exists()


def test_a_service_manager_hears_all_but_a_farewell_that_is_not_the_keepers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as above:
        above.bind(str(tmp_path / "above"))
        above.setblocking(False)
        watchdog = Watchdog(str(tmp_path), {"NOTIFY_SOCKET": str(tmp_path / "above")})
        sentinel = Notifier(watchdog.environment)
        assert sentinel.ready("process: audit")
        assert sentinel.stopping()
        watchdog.hear(0.0, is_stopping=False)
        assert above.recv(4096) == b"READY=1\nSTATUS=process: audit"
        with pytest.raises(BlockingIOError):
            above.recv(4096)
        assert sentinel.stopping()
        watchdog.hear(0.0, is_stopping=True)
        assert above.recv(4096) == b"STOPPING=1"
        watchdog.close()


def test_a_service_manager_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    watchdog = Watchdog(str(tmp_path), {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    watchdog.started(0.0)
    assert Notifier(watchdog.environment).ready()
    watchdog.hear(5.0, is_stopping=False)
    assert watchdog.due_s == 5.0 + SILENT_S
    watchdog.close()


@pytest.mark.parametrize(
    ("above", "period_s"),
    [
        ({}, PERIOD_S / 2),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, PERIOD_S / 2),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "600000000"}, PERIOD_S / 2),
        ({"WATCHDOG_USEC": "0"}, PERIOD_S / 2),
        ({"WATCHDOG_USEC": "-1"}, PERIOD_S / 2),
        ({"WATCHDOG_USEC": "soon"}, PERIOD_S / 2),
    ],
)
def test_the_sentinel_speaks_as_often_as_the_stricter_of_two_asks(
    tmp_path: Path, above: dict[str, str], period_s: float
) -> None:
    watchdog = Watchdog(str(tmp_path), above)
    assert Notifier(watchdog.environment).watchdog_period_s == period_s
    watchdog.close()


def test_a_socket_that_was_taken_away_is_made_anew_and_nobody_is_taken_for_dead(
    watchdog: Watchdog, tmp_path: Path
) -> None:
    sentinel = Notifier(watchdog.environment)
    watchdog.started(0.0)
    assert sentinel.ready()
    watchdog.hear(100.0, is_stopping=False)
    assert not watchdog.mend(110.0)
    (tmp_path / SOCKET).unlink()
    assert not sentinel.watchdog(), "nobody hears it"
    assert watchdog.mend(159.0)
    assert not watchdog.is_silent(159.0 + SILENT_S - 1)
    assert watchdog.is_silent(159.0 + SILENT_S)
    assert sentinel.watchdog()
    watchdog.hear(200.0, is_stopping=False)
    assert not watchdog.is_silent(200.0 + SILENT_S - 1)
    assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o700


def test_a_socket_of_somebody_else_in_its_place_is_replaced(
    watchdog: Watchdog, tmp_path: Path
) -> None:
    (tmp_path / SOCKET).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / SOCKET))
        assert watchdog.mend(1.0)
        assert Notifier(watchdog.environment).ready()
        watchdog.started(1.0)
        watchdog.hear(2.0, is_stopping=False)
        assert watchdog.due_s == 2.0 + SILENT_S


def test_after_the_end_nothing_is_waited_for_again(watchdog: Watchdog, tmp_path: Path) -> None:
    (tmp_path / SOCKET).unlink()
    assert watchdog.mend(1.0)
    assert watchdog.due_s == float("inf")
