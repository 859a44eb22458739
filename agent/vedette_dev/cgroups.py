"""Control groups with little memory and few processes for what runs in an enclosure.

Rule: where this user may make none (no root, no delegation) there are none; the time limit and the
process namespace hold all the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMORY_BYTES = 512 << 20
MAX_PROCESSES = 256
_REMOVE_TIMEOUT_S = 3.0

_LIMITS = {
    "memory": {"memory.limit_in_bytes": MEMORY_BYTES},
    "pids": {"pids.max": MAX_PROCESSES},
}
"""Of version 1, by controller."""
_LIMITS_V2 = {"memory.max": MEMORY_BYTES, "pids.max": MAX_PROCESSES}


@contextlib.contextmanager
def limited(word: str) -> Iterator[tuple[str, ...]]:
    """Groups of this name while the context lasts; their processes must have ended at its end.

    Yields:
        Their folders; none where this user may not make any.
    """
    name = f"vedette-{word}"
    groups: list[Path] = []
    try:
        with contextlib.suppress(OSError):
            _make(name, groups)
        yield tuple(str(group) for group in groups)
    finally:
        for group in groups:
            _remove(group)


def _make(name: str, groups: list[Path]) -> None:
    if (ROOT / "cgroup.controllers").exists():
        _one(ROOT / name, _LIMITS_V2, groups)
        return
    for controller, limits in _LIMITS.items():
        if (ROOT / controller).is_dir():
            _one(ROOT / controller / name, limits, groups)


def _one(group: Path, limits: dict[str, int], groups: list[Path]) -> None:
    group.mkdir()
    groups.append(group)
    for file, value in limits.items():
        with contextlib.suppress(OSError):  # a controller that is not enabled here
            (group / file).write_text(str(value))


def _remove(group: Path) -> None:
    # A process that was killed stays in its group until it has been collected.
    ends_s = time.monotonic() + _REMOVE_TIMEOUT_S
    while group.exists() and time.monotonic() < ends_s:
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)
