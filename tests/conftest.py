"""What all tests share: no time limits, and a lock on what a machine has only one of.

Rule: `make check` asks an eighth of the examples of each property and leaves out what is marked
`thorough`; `make test` asks all.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=12)
settings.load_profile("untimed")

KERNEL_LOCK = Path("/tmp/vedette-kernel.lock")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who holds the kernel runs alone: nobody has to remember the mark."""
    for item in items:
        if "kernel" in getattr(item, "fixturenames", ()):
            item.add_marker("kernel")


def pytest_collection_finish() -> None:
    """Spare the collector what stays until the end: modules and tests, a tenth of all time."""
    gc.collect()
    gc.freeze()


@contextmanager
def locked_kernel() -> Iterator[None]:
    """Hold audit, conntrack and the like alone, also against other test runs of this machine.

    Two of them would otherwise see each other's events and undo each other's settings.
    """
    lock = _open_lock()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@pytest.fixture
def kernel() -> Iterator[None]:
    """Hold what a machine has only one of while a test runs."""
    with locked_kernel():
        yield


def _open_lock() -> int:
    # Whoever came first made it; others may read it, which is enough for flock(2). O_CREAT on
    # another user's file in /tmp is refused (proc(5), protected_regular), hence the order.
    try:
        return os.open(KERNEL_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(KERNEL_LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


@pytest.fixture
def as_root() -> None:
    """Skip what only root can do."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests with sudo to include it")
