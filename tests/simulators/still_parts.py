"""The parts of a sentinel on a device in a folder: real ones, of which nothing runs by itself.

What the core was told is read from its recording, what was noted from the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.simulators.sources import Simulated
from tests.system._site import Site

from vedette.core.inputs import Input, Reported
from vedette.core.recording import decode
from vedette.daemon import assembly, config
from vedette.daemon.parts import Parts
from vedette.model.journal import Entry


class StillParts:
    """A device with signed content, and its sentinel's parts once they are made.

    Args:
        folder: of the device.
        monkeypatch: keeps the real sources away.
        sources: the only ones there are.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *sources: type[Simulated]
    ) -> None:
        self.site = Site(folder)
        self.record = folder / "watch.vrec"
        monkeypatch.setattr(assembly, "sensor_classes", lambda _: list(sources))
        self.parts: Parts
        self._made: list[Parts] = []

    def make(self) -> Parts:
        """Make the parts, as a start does; `close` lets go of them."""
        self.parts = Parts(config.load(self.site.config), self.site.config, self.record)
        self._made.append(self.parts)
        return self.parts

    def close(self) -> None:
        """Let go of what parts hold that were never opened."""
        for parts in self._made:
            assert parts.shell._record is not None
            parts.shell._record.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Parts]:
        """Parts whose journal and baseline are open, for as long as the block lasts."""
        parts = self.make()
        parts.run_dir.mkdir(mode=0o700, exist_ok=True)
        parts.state_dir.mkdir(mode=0o700, exist_ok=True)
        assert parts.baseline.open() == []
        assert await parts.journal.open() == []
        try:
            yield parts
        finally:
            await parts.shell.stop()
            await parts.journal.close()
            parts.baseline.close()
            for name in parts.run_dir.iterdir():
                name.unlink()
            parts.run_dir.rmdir()

    def told(self) -> Sequence[Input]:
        """All that the core was told, in order."""
        _, inputs = decode(self.record.read_bytes())
        return list(inputs)

    def findings(self) -> list[tuple[str, str]]:
        """What the agent has reported of itself: condition and reason."""
        return [
            (given.condition, given.fields.get("Reason", ""))
            for given in self.told()
            if isinstance(given, Reported)
        ]

    async def noted(self, kind: str) -> Sequence[Entry]:
        """What the journal has of a kind, newest first, with what waits to be written."""
        while self.parts.shell._drafts:
            await self.parts.shell._write_group()
        return await self.parts.journal.entries(kind, 1000)
