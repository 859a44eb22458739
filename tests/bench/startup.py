"""From the start of `vedette run` to all sources proven: what a boot waits for."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench._agent import running_agent
from tests.bench.figure import Figure, figure

BUDGET_S = 1.0
RUNS = 7


def figures(*, is_quick: bool) -> Iterator[Figure]:
    found = []
    for _ in range(2 if is_quick else RUNS):
        with running_agent() as session:
            found.append(session.started_in_s)
    yield figure("start to watching", found, "s", BUDGET_S, "budget")
