"""What of a configuration a running sentinel can change.

Rule: all of a new file is applied or nothing of it.
"""

from __future__ import annotations

from pathlib import Path

from vedette.daemon.config import Config
from vedette.errors import ConfigError

LIVE_SECTIONS = frozenset({"rules", "files", "sensors"})
"""The others say who we are and where we keep and send things."""


def live_changes(before: Config, after: Config, path: Path) -> frozenset[str]:
    """The sections that differ.

    Args:
        path: where the new one was read, for what is said of it.

    Raises:
        ConfigError: a change needs a restart.
    """
    changed = frozenset(
        name for name in after.__slots__ if getattr(after, name) != getattr(before, name)
    )
    fixed = sorted(changed - LIVE_SECTIONS)
    if fixed:
        raise ConfigError(
            f"{path}: {', '.join(f'[{name}]' for name in fixed)} changed, which "
            "only a restart can apply; restart the agent, or undo that change"
        )
    if not set(before.sensors.disable) <= set(after.sensors.disable):
        raise ConfigError(
            f"{path}: [sensors] disable names fewer sources than at the start, "
            "when what the others need was given up; restart the agent, or undo that change"
        )
    return changed
