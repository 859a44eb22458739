"""What all tests share: the lock on facilities of which a machine has only one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

KERNEL_LOCK = Path("/tmp/vedette-kernel.lock")


@pytest.fixture
def kernel() -> Iterator[None]:
    """Hold audit, conntrack and the like alone while a test runs.

    Two test runs on one machine would otherwise see each other's events and undo each other's
    settings.
    """
    with KERNEL_LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def as_root() -> None:
    """Skip what only root can do."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests with sudo to include it")
