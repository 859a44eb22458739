"""Stories of a process that has a hand on the agent: told where it is the agent, and who did it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Resolve
from vedette.core.inputs import Observed, OwnProcesses, ProcessDetail, Reported, Resolved
from vedette.model.event import Activity, KernelActivity, ProcessStarted
from vedette.model.finding import Severity

SETTINGS = AgentSettings(tenant="home", device="cam-1", boot="0" * 32, quiet_s=60.0)
SENTINEL, UPLINK, KEEPER, INTRUDER = 500, 501, 499, 777
WALL = 1_795_000_000.0


def started(pid: int, ppid: int, image: str) -> ProcessStarted:
    return ProcessStarted(
        1.0, "ebpf", pid, ppid, pid, image, image, image, True, 0, 0, "/", "", 1, pid
    )  # fmt: skip


def agent() -> Agent:
    made = Agent(SETTINGS)
    made.handle(OwnProcesses(0.0, WALL, frozenset({SENTINEL, UPLINK, KEEPER})))
    processes = (
        started(80, 1, "/usr/sbin/supervisor"), started(KEEPER, 80, "/usr/bin/python3"),
        started(SENTINEL, KEEPER, "/usr/bin/python3"), started(INTRUDER, 80, "/tmp/evil"),
    )  # fmt: skip
    made.handle(Observed(1.0, WALL, processes))
    return made


def told(made: Agent, activity: Activity, pid: int, target: str) -> list[dict[str, Any]]:
    """The reports of what one activity leads to."""
    event = KernelActivity(2.0, "ebpf", activity, pid, 0, "", target)
    documents: list[dict[str, Any]] = []
    commands = made.handle(Observed(2.0, WALL + 2, (event,)))
    while commands:
        command = commands.pop(0)
        if isinstance(command, Append):
            documents.append(json.loads(command.draft.body))
        elif isinstance(command, Resolve):
            details = tuple(ProcessDetail(s.pid, s.start_ticks, "", "") for s in command.subjects)
            commands += made.handle(Resolved(2.0, WALL + 2, command.ticket, details))
    return documents


AGAINST_US: dict[str, tuple[Activity, str, str, str]] = {
    "SIGSTOP to the sentinel": ("signal", "500 19", "own-process-signalled", "CRITICAL"),
    "SIGKILL to the uplink": ("signal", "501 9", "own-process-signalled", "CRITICAL"),
    "SIGTERM to the keeper": ("signal", "499 15", "own-process-signalled", "HIGH"),
    "SIGHUP to the sentinel": ("signal", "500 1", "own-process-signalled", "LOW"),
    "a debugger at the sentinel": ("ptrace", "500", "own-process-traced", "CRITICAL"),
    "reading the sentinel's memory": ("memory_access", "500", "own-memory-opened", "CRITICAL"),
}


@pytest.mark.parametrize("what", AGAINST_US)
def test_what_is_done_to_us_is_told_with_who_did_it(what: str) -> None:
    activity, target, condition, severity = AGAINST_US[what]
    (document,) = told(agent(), activity, INTRUDER, target)
    assert document["finding_info"]["analytic"]["uid"] == f"vedette:{condition}"
    assert document["severity_id"] == Severity[severity]
    assert document["evidences"][0]["process"]["file"]["path"] == "/tmp/evil"


NOT_AGAINST_US: dict[str, tuple[Activity, int, str]] = {
    "a signal to somebody else": ("signal", INTRUDER, "80 9"),
    "a debugger at somebody else": ("ptrace", INTRUDER, "80"),
    "the keeper ends the sentinel": ("signal", KEEPER, "500 15"),
    "the sentinel lets the uplink go on": ("signal", SENTINEL, "501 18"),
    "the service manager stops us": ("signal", 1, "500 15"),
    "our starter stops the keeper": ("signal", 80, "499 15"),
    "a target that is no number": ("signal", INTRUDER, "many 9"),
    "no target": ("ptrace", INTRUDER, ""),
}


@pytest.mark.parametrize("what", NOT_AGAINST_US)
def test_what_is_no_attack_on_us_is_not_told(what: str) -> None:
    assert told(agent(), *NOT_AGAINST_US[what]) == []


def test_a_debugger_is_told_even_of_a_parent() -> None:
    (document,) = told(agent(), "ptrace", 80, "499")
    assert document["finding_info"]["analytic"]["uid"] == "vedette:own-process-traced"


def test_whoever_sets_the_clock_is_told() -> None:
    (document,) = told(agent(), "time_set", INTRUDER, "")
    assert document["finding_info"]["analytic"]["uid"] == "vedette:clock-set"
    assert document["evidences"][0]["process"]["file"]["path"] == "/tmp/evil"


def test_a_report_of_the_shell_names_the_process_it_blames() -> None:
    made = agent()
    given = Reported(
        3.0, WALL, "own-memory-opened", "Memory", Severity.CRITICAL, {"Reason": "x"}, INTRUDER
    )
    (question,) = [c for c in made.handle(given) if isinstance(c, Resolve)]
    assert INTRUDER in {subject.pid for subject in question.subjects}
