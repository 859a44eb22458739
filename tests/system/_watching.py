"""Helpers of the file sensor tests: collect events until a condition holds, act as another pid."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vedette.model.event import Event, FileChanged
from vedette.ports.sensor import SensorContext

DEADLINE_S = 20.0


class Seen:
    """What a sensor emitted so far; wakes whoever waits for more."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def emit(self, batch: Sequence[Event]) -> None:
        self.events.extend(batch)
        self._more.set()

    async def until(self, holds: Callable[[list[Event]], bool]) -> None:
        """Wait until the events satisfy a condition, or fail with what was seen."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds(self.events):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"not seen within {DEADLINE_S} s in {self.events!r}") from None

    async def until_path(self, action: str, path: str | Path) -> FileChanged:
        """Wait for one change of a path."""
        await self.until(lambda events: find(events, action, path) is not None)
        found = find(self.events, action, path)
        assert found is not None
        return found


def find(events: Sequence[Event], action: str, path: str | Path) -> FileChanged | None:
    for event in events:
        if isinstance(event, FileChanged) and (event.action, event.path) == (action, str(path)):
            return event
    return None


def changed_paths(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(e.action, e.path) for e in events if isinstance(e, FileChanged)]


def context(seen: Seen, tmp_path: Path, *watch: Path) -> SensorContext:
    run_dir, state_dir = tmp_path / "run", tmp_path / "state"
    run_dir.mkdir(exist_ok=True)
    state_dir.mkdir(exist_ok=True)
    return SensorContext(seen.emit, run_dir, state_dir, tuple(str(path) for path in watch))


def act(script: str, *arguments: str | Path | bytes) -> int:
    """Run Python lines in another process (the sensor ignores its own pid); returns its pid."""
    prelude = "import os, sys; a = [os.fsencode(x) for x in sys.argv[1:]]\n"
    command = [sys.executable, "-I", "-S", "-c", prelude + script, *map(_text, arguments)]
    with subprocess.Popen(command) as process:
        assert process.wait(DEADLINE_S) == 0
        return process.pid


def _text(argument: str | Path | bytes) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)
