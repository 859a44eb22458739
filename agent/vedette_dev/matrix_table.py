"""The detection matrix as a page for people: attacks by technique, one column for each tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedette_dev.matrix import Row

LADDER = (
    "ebpf", "audit", "proc_connector", "procfs", "fanotify", "inotify", "scan", "conntrack",
    "procnet", "listeners", "journald", "log_file",
)  # fmt: skip
"""Best first within each class; a tier that is not named here comes last."""
WHOLE, PART = "●", "◐"


def page(rows: Sequence[Row], used: Mapping[str, str]) -> str:
    """As Markdown.

    Args:
        rows: one for each attack.
        used: the tiers that were in use, with the class they watched.
    """
    tiers = columns(rows, used)
    told = sum(bool(row.steps) for row in rows)
    lines = [
        "# Which tier tells of which attack",
        "",
        "Written by `make matrix`: every attack of `tests/attacks` is played against agents whose",
        "better sources are disabled in turn; incidents that arrive over MQTT name their source.",
        f"{WHOLE} told by this tier, {PART} some of its steps; empty: not told. A tier of another",
        "class than the attack's traces has nothing to tell.",
        "",
        f"**{told} of {len(rows)} attacks told of by at least one tier.**",
        "",
        f"| attack | technique | {' | '.join(tiers)} |",
        f"|---|---|{'---|' * len(tiers)}",
        *(_row(row, tiers) for row in sorted(rows, key=lambda row: row.attack.technique)),
        f"| **told** | | {' | '.join(str(_count(rows, tier)) for tier in tiers)} |",
    ]
    problems = [row for row in rows if row.problem]
    if problems:
        lines += ["", "Not played everywhere:", ""]
        lines += (f"- {row.attack.name}: {row.problem.splitlines()[0]}" for row in problems)
    return "\n".join(lines) + "\n"


def columns(rows: Sequence[Row], used: Mapping[str, str]) -> list[str]:
    """The tiers that were in use or told of something, in the order of the ladder."""
    found = set(used) | {tier for row in rows for tier in row.steps}
    return sorted(found, key=lambda tier: (LADDER.index(tier) if tier in LADDER else 99, tier))


def _row(row: Row, tiers: Sequence[str]) -> str:
    cells = (_cell(row, tier) for tier in tiers)
    return f"| {row.attack.name} | {row.attack.technique} | {' | '.join(cells)} |"


def _cell(row: Row, tier: str) -> str:
    steps = len(row.steps.get(tier, ()))
    if steps == 0:
        return ""
    return WHOLE if steps == len(row.attack.steps) else PART


def _count(rows: Sequence[Row], tier: str) -> int:
    return sum(tier in row.steps for row in rows)
