"""Which source watches each class of a running agent."""

from __future__ import annotations

from pathlib import Path

from vedette.daemon import config
from vedette.daemon.control_client import ask


def tiers_in_use(file: Path) -> dict[str, str]:
    """Tier by class, "" where nothing watches.

    Args:
        file: the agent's configuration.

    Raises:
        VedetteError: the agent cannot be asked.
    """
    answer = ask(config.load(file).control_socket, "doctor")
    tiers = answer.get("tiers")
    rows = tiers if isinstance(tiers, list) else []
    return {str(row["class"]): str(row["tier"]) for row in rows if isinstance(row, dict)}
