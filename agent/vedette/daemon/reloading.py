"""Reads the configuration again, when a person or the service manager asks for it.

Rule 1: it is applied wholly or not at all; what a restart alone can change is refused.
Rule 2: one after another: who asks meanwhile waits, and has his own read after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from vedette.codec import ocsf
from vedette.daemon import config as configuration
from vedette.daemon.config import Config
from vedette.daemon.live_config import live_changes
from vedette.errors import ConfigError, StoreError, TrustError

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts

_REFUSALS = (ConfigError, TrustError, StoreError)


class Reloading:
    """Applies.

    Args:
        parts: are changed.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_asked = asyncio.Event()
        self._one = asyncio.Lock()

    def ask(self) -> None:
        """Have it done soon; what comes of it is told by finding and journal."""
        self._is_asked.set()

    async def run(self) -> None:
        """Reload whenever `ask` was called, until cancelled."""
        while True:
            await self._is_asked.wait()
            self._is_asked.clear()
            with contextlib.suppress(*_REFUSALS):  # told by reload itself
                await self.reload()

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file wholly or not at all; returns what changed.

        Raises:
            ConfigError: the file has mistakes, or changes what only a restart can change.
            TrustError: the new trust document is refused.
            StoreError: the disk does not say whom the device trusts.
        """
        async with self._one:
            return await self._reload()

    async def _reload(self) -> tuple[str, ...]:
        parts = self._parts
        parts.notifier.reloading()
        parts.watching.look_after_folders()
        try:
            changed = await self._apply(configuration.load(parts.config_path))
        except _REFUSALS as error:
            parts.own.reload_refused(str(error))
            raise
        finally:
            parts.notifier.ready(parts.answers.headline())
        parts.shell.note("reload", ocsf.canonical({"changed": list(changed)}))
        return changed

    async def _apply(self, config: Config) -> tuple[str, ...]:
        parts = self._parts
        changed = live_changes(parts.config, config, parts.config_path)
        parts.content.follow(config)
        parts.config = config
        await parts.content.choose()
        if changed & {"files", "sensors"}:
            await parts.sensing.change()
        return (*sorted(changed), "rules re-read")
