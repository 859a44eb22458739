"""What else came while idling or a drill was measured is counted, and measured again without it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.bench import _link_cost, resident
from tests.bench._agent import Usage
from tests.bench.resident import Came, Counts, came

from vedette_dev.session import Session

QUIET = Counts(events=5, scans=1, is_scanning=False, drills=1, entries=10)
ENTRY_BYTES = 24 << 10
SESSION = cast("Session", None)


class Agent:
    """Counts as the agent does.

    Attributes:
        incidents: how many of the next drills an incident comes beside.
    """

    def __init__(self) -> None:
        self.now_s, self.drills, self.entries, self.incidents = 1.0, 1, 10, 0
        self.written = 0

    def ask(self, _: Session, request: str) -> Mapping[str, object]:
        if request == "drill.run":
            self.drills += 1  # its entry waits for the next one
            if self.incidents:
                self.incidents -= 1
                self.entries, self.written = self.entries + 1, self.written + ENTRY_BYTES
        return {
            "drills": [{}] * self.drills, "scan": {"number": 1}, "scanning": False,
            "ledger": [{"stage": "core", "in": 5}], "journal": {"size": self.entries},
        }  # fmt: skip

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    made = Agent()
    clock = SimpleNamespace(sleep=made.sleep, monotonic=lambda: made.now_s)
    monkeypatch.setattr(resident, "time", clock)
    monkeypatch.setattr(resident, "_ask", made.ask)
    monkeypatch.setattr(resident, "_usage", lambda _: [Usage(made.now_s, 0, made.written, 0)])
    monkeypatch.setattr(_link_cost, "bytes_of_a_link", lambda: 0)
    return made


def told(agent: Agent, incidents: int) -> dict[str, Any]:
    agent.incidents = incidents
    return {one.name: one.value for one in resident._idle(SESSION, {"sentinel": 1}, 300.0)}


def test_an_idle_agent_writes_nothing_and_nothing_came(agent: Agent) -> None:
    found = told(agent, 0)
    assert found["idle: written to disk"] == 0
    assert found["idle: entries that came all the same"] == 0
    assert found["idle: drills that came all the same"] == 0


def test_a_drill_beside_an_incident_is_measured_again(agent: Agent) -> None:
    found = told(agent, 1)
    assert found["idle: written by a drill, each hour"] == 0
    assert found["idle: entries that came all the same"] == 0


def test_an_incident_that_comes_with_each_drill_is_counted(agent: Agent) -> None:
    found = told(agent, resident.LOOKS + 1)
    assert found["idle: written by a drill, each hour"] == ENTRY_BYTES / 1024
    assert found["idle: entries that came all the same"] == 1


@pytest.mark.parametrize(
    ("before", "after", "scans"),
    [
        (QUIET, QUIET, 0),
        (QUIET, QUIET._replace(scans=2), 1),
        (QUIET, QUIET._replace(is_scanning=True), 1),
        (QUIET._replace(is_scanning=True), QUIET._replace(scans=2), 1),
    ],
    ids=["none", "within", "at the end", "at the beginning"],
)
def test_a_scan_counts_wherever_it_ran(before: Counts, after: Counts, scans: float) -> None:
    assert came(before, after) == Came(0, scans, 0, 0)
