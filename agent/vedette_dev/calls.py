"""Programs that are called and waited for: what they said, or a DeviceError with what to do.

Rule: each has a deadline, and one that is starved past it is told as that: on a busy machine it is
the commonest failure, and no fault of ours.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.errors import DeviceError


def call(
    argv: Sequence[str | Path], timeout_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a program said, however it ended; it is asked nothing on its stdin.

    Args:
        argv: a program and its arguments.
        timeout_s: for all of it.
        environment: added to ours.

    Raises:
        DeviceError: it took longer.
        FileNotFoundError: there is no such program.
    """
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{Path(argv[0]).name} {too_slow(timeout_s)}") from error


def check(argv: Sequence[str | Path], timeout_s: float, **environment: str) -> str:
    """What a program said that must end with 0.

    Raises:
        DeviceError: it did not, or took longer.
        FileNotFoundError: there is no such program.
    """
    done = call(argv, timeout_s, environment)
    if done.returncode:
        said = done.stderr.strip()[-500:]
        raise DeviceError(f"{Path(argv[0]).name} left with {done.returncode}: {said}")
    return done.stdout


def too_slow(timeout_s: float) -> str:
    """What is said of a program that did not end in this time."""
    return f"took longer than {timeout_s:g} s and was ended: try again when less runs beside it"
