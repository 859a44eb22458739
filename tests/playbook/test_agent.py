"""Stories: what happens to the device on one side, what the agent asks for on the other."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from vedette.codec import ocsf
from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command, Continue, Resolve, Wake
from vedette.core.inputs import (
    Continued,
    Input,
    LookedUp,
    Observed,
    ProcessDetail,
    Reported,
    Resolved,
    RulesLoaded,
    Seeded,
    Stopping,
    Swept,
    Ticked,
    UpdateAnnounced,
)
from vedette.core.process_table import MAX_TEXT
from vedette.core.recording import decode, encode_header, encode_input
from vedette.model.event import (
    ConnectionOpened,
    Event,
    EventClass,
    EventsLost,
    FileChanged,
    ListenerOpened,
    NameResolved,
    ProcessExited,
    ProcessStarted,
    TierChanged,
)
from vedette.model.finding import Incident, IncidentStatus, Severity
from vedette.model.rule import AllOf, Bundle, Match, Rule

SETTINGS = AgentSettings(tenant="home", device="cam-1", boot="0" * 32, quiet_s=60.0)
WALL = 1_795_000_000.0


def rule(rule_id: str, category: str, *matches: Match) -> Rule:
    return Rule(
        rule_id, f"Rule {rule_id}", "An Author", Severity.HIGH, ("attack.t1059",), category,
        AllOf(matches), (),
    )  # fmt: skip


RULES = (
    rule("shell", "process_creation", Match("Image", "endswith", "/sh", False),
         Match("ParentImage", "endswith", "/httpd", False)),
    rule("wget", "process_creation", Match("Image", "endswith", "/wget", False)),
    rule("running", "file_event", Match("TargetRunning", "equals", "true", False)),
    rule("tunnel", "network_connection",
         Match("DestinationHostname", "endswith", ".tunnel.example", False)),
    rule("listener", "listener_opened", Match("Port", "startswith", "444", False)),
    rule("sweep", "network_sweep", Match("DistinctCount", "gte", "16", False)),
    rule("key", "file_event", Match("TargetFilename", "endswith", "/authorized_keys", False)),
    rule("ours", "process_creation", Match("ParentIsUpdate", "equals", "true", False)),
)  # fmt: skip
BUNDLE = Bundle("test", 1, 0, 2**40, RULES, (r"password=(\S+)",), "ab" * 32)


def started(pid: int, ppid: int, image: str, at_s: float, command_line: str = "") -> ProcessStarted:
    argv0 = (command_line or image).split(" ")[0]
    return ProcessStarted(
        at_s, "audit", pid, ppid, 0, image, argv0, command_line or image, True, 0, -1, "", "", 0, 0
    )  # fmt: skip


class Story:
    """An agent with rules, and all it asked for."""

    def __init__(self) -> None:
        self.agent = Agent(SETTINGS)
        self.recording = bytearray(encode_header(SETTINGS))
        self.commands: list[Command] = []
        self.tell(RulesLoaded(0.0, WALL, BUNDLE))
        self.tell(Seeded(0.0, WALL, (started(1, 0, "/init", 0.0),), {0: "root"}))

    def tell(self, given: Input) -> list[Command]:
        self.recording += encode_input(given)
        commands = self.agent.handle(given)
        self.commands += [command for command in commands if command != Continue()]
        for _ in range(commands.count(Continue())):  # as the shell does, at once
            self.tell(Continued(given.at_s, given.wall_s))
        return commands

    def see(self, at_s: float, *events: Event) -> list[Command]:
        return self.tell(Observed(at_s, WALL + at_s, events))

    def answer(self, at_s: float) -> None:
        """Answer every open question with a digest and a unit."""
        for command in list(self.commands):
            if isinstance(command, Resolve):
                self.commands.remove(command)
                details = tuple(
                    ProcessDetail(subject.pid, 900 + subject.pid, "web.service", "cd" * 32)
                    for subject in command.subjects
                )
                self.tell(Resolved(at_s, WALL + at_s, command.ticket, details))

    def incidents(self) -> list[Incident]:
        return [
            command.incident
            for command in self.commands
            if isinstance(command, Append) and command.incident is not None
        ]

    def documents(self) -> list[dict[str, Any]]:
        return [
            json.loads(command.draft.body)
            for command in self.commands
            if isinstance(command, Append) and command.incident is not None
        ]


def test_a_shell_of_a_web_server_becomes_an_incident_with_its_chain() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0))
    asked = story.see(2.0, started(11, 10, "/bin/sh", 2.0, "sh -c id password=hunter2"))
    assert [type(command) for command in asked] == [Resolve, Wake]
    assert story.incidents() == []
    story.answer(2.1)
    (incident,) = story.incidents()
    assert incident.status is IncidentStatus.CREATED
    assert [link.image for link in incident.finding.chain] == [
        "/bin/sh",
        "/usr/sbin/httpd",
        "/init",
    ]
    assert incident.finding.chain[0].sha256 == "cd" * 32
    assert incident.finding.chain[0].key.start_ticks == 911
    assert incident.finding.chain[0].user == "root"
    assert incident.finding.author == "An Author"
    (document,) = story.documents()
    assert document["device"]["uid"] == "cam-1"
    assert "hunter2" not in json.dumps(document)
    assert "password=[redacted]" in json.dumps(document)


def test_arguments_apart_are_never_told_since_secrets_are_found_in_the_line_alone() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0))
    event = started(11, 10, "/bin/sh", 2.0, "sh -c id password=hunter2")
    story.see(2.0, event._replace(arguments="sh\0-c\0id\0password\0=hunter2"))
    story.answer(2.1)
    (document,) = story.documents()
    assert "hunter2" not in json.dumps(document)
    assert "password=[redacted]" in json.dumps(document)


def test_a_storm_asks_once_and_tells_once() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0))
    batch = [started(100 + n, 10, "/bin/sh", 2.0 + n / 10_000, "sh -c x") for n in range(10_000)]
    story.see(3.0, *batch)
    story.answer(3.1)
    assert len(story.incidents()) == 1
    story.tell(Ticked(200.0, WALL + 200.0))
    assert [(i.status, i.count) for i in story.incidents()][1:] == [(IncidentStatus.CLOSED, 10_000)]


def test_busybox_run_as_wget_is_wget() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/bin/busybox", 1.0, "wget http://x/y"))
    story.answer(1.1)
    (incident,) = story.incidents()
    assert incident.finding.rule_id == "wget"


def test_deleting_a_running_program_is_seen_until_it_ends() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/tmp/x", 1.0))
    deleted = FileChanged(2.0, "fanotify", "deleted", "/tmp/x", "", 10, -1, -1, False, "")
    story.see(2.0, deleted)
    story.answer(2.1)
    assert [i.finding.rule_id for i in story.incidents()] == ["running"]
    story.tell(Swept(3.0, WALL + 3.0, frozenset({1})))
    story.see(4.0, deleted._replace(path="/tmp/x", at_s=4.0))
    assert len(story.incidents()) == 1


def test_a_program_deleted_before_its_execution_was_told_is_seen_all_the_same() -> None:
    story = Story()
    deleted = FileChanged(2.0, "fanotify", "deleted", "/tmp/x", "", 0, -1, -1, False, "")
    story.see(2.0, deleted)
    assert story.incidents() == []
    story.see(2.1, started(10, 1, "/tmp/x", 1.99))
    story.answer(2.2)
    assert [i.finding.rule_id for i in story.incidents()] == ["running"]
    story.see(3.0, deleted._replace(path="/tmp/y", at_s=3.0))
    story.see(3.2, started(11, 1, "/tmp/y", 3.1))
    story.answer(3.3)
    assert len(story.incidents()) == 1, "a new file of that name is another program"


def test_a_connection_gets_its_name_also_when_the_answer_comes_late() -> None:
    story = Story()
    connection = ConnectionOpened(
        1.0, "conntrack", "tcp", True, "10.0.0.1", 4000, "192.0.2.7", 443, 0, 0
    )  # fmt: skip
    story.see(1.0, connection)
    assert story.incidents() == []
    story.see(1.2, NameResolved(1.2, "dns", "a.tunnel.example", "192.0.2.7", 60))
    (incident,) = story.incidents()
    assert incident.finding.fields["DestinationHostname"] == "a.tunnel.example"
    assert incident.finding.tier == "conntrack"


@pytest.mark.parametrize(
    ("second", "count"),
    [
        ({"at_s": 14.0, "tier": "listeners", "pid": 0}, 1),
        ({"at_s": 14.0}, 2),
        ({"at_s": 30.0, "tier": "listeners"}, 2),
        ({"at_s": 14.0, "tier": "listeners", "port": 4445}, 2),
    ],
    ids=["another source", "the same source again", "another source much later", "another port"],
)
def test_a_listener_that_two_sources_tell_of_is_judged_once(
    second: dict[str, Any], count: int
) -> None:
    story = Story()
    first = ListenerOpened(10.0, "ebpf", "tcp", "0.0.0.0", 4444, 1, 0)
    again = first._replace(**second)
    story.see(10.0, first)
    story.see(again.at_s, again)
    story.answer(again.at_s)
    story.tell(Stopping(50.0, WALL + 50.0))
    assert story.incidents()[-1].count == count


def test_a_port_sweep_is_one_incident() -> None:
    story = Story()
    for port in range(100):
        story.see(
            1.0 + port / 100,
            ConnectionOpened(
                1.0 + port / 100, "conntrack", "tcp", True, "127.0.0.1", 4000 + port, "127.0.0.1",
                port, 0, 0,
            ),
        )  # fmt: skip
    assert [i.finding.rule_id for i in story.incidents()] == ["sweep"]


def test_a_loss_is_a_finding_and_is_in_the_findings_of_its_window() -> None:
    story = Story()
    story.see(1.0, EventsLost(1.0, "audit", EventClass.PROCESS, "kernel", 7, False, "ENOBUFS"))
    (own,) = story.incidents()
    assert (own.finding.rule_id, own.finding.author) == ("vedette:events-lost", "Vedette")
    story.see(2.0, started(10, 1, "/usr/bin/wget", 2.0))
    story.answer(2.1)
    assert [(loss.stage, loss.count) for loss in story.incidents()[-1].finding.losses] == [
        ("kernel", 7)
    ]


def test_the_first_tier_is_an_entry_and_a_lost_one_a_critical_incident() -> None:
    story = Story()
    story.see(1.0, TierChanged(1.0, "audit", EventClass.PROCESS, "", "start"))
    assert story.incidents() == []
    story.see(2.0, TierChanged(2.0, "", EventClass.PROCESS, "audit", "saw nothing"))
    (incident,) = story.incidents()
    assert incident.severity is Severity.CRITICAL
    kinds = [c.draft.kind for c in story.commands if isinstance(c, Append)]
    assert kinds == ["tier", "tier", "incident"]


def test_what_was_looked_up_is_known_but_not_judged() -> None:
    story = Story()
    httpd = started(10, 1, "/usr/sbin/httpd", 1.0)
    shell = started(11, 10, "/bin/sh", 2.0)
    assert story.agent.unknown_pids([shell]) == {10: 2.0}
    story.tell(LookedUp(2.0, WALL, (httpd, started(12, 10, "/bin/sh", 1.0))))
    assert story.agent.unknown_pids([shell]) == {}
    assert story.incidents() == []
    story.see(2.0, shell)
    story.answer(2.1)
    assert [i.finding.rule_id for i in story.incidents()] == ["shell"]


def child_of_update(story: Story, at_s: float, ppid: int = 50) -> list[str]:
    """The rules of incidents that a tool's start leads to, of this parent."""
    story.commands.clear()
    story.see(at_s, started(60, ppid, "/usr/bin/fw_setenv", at_s, "fw_setenv -s -"))
    story.answer(at_s)
    return [one["finding_info"]["analytic"]["uid"] for one in story.documents()]


def test_a_child_of_an_announced_update_is_known_as_that() -> None:
    story = Story()
    story.see(1.0, started(50, 1, "/usr/bin/python3", 1.0))
    assert not child_of_update(story, 2.0)
    story.tell(UpdateAnnounced(3.0, WALL, (50,)))
    assert child_of_update(story, 4.0)


NO_UPDATE: dict[str, tuple[int, tuple[Event, ...]]] = {
    "a pid that is used again": (
        50, (ProcessExited(4.0, "audit", 50), started(50, 1, "/usr/bin/python3", 5.0)),
    ),
    "another program executed by it": (50, (started(50, 1, "/bin/sh", 5.0),)),
    "a shell that it began": (51, (started(51, 50, "/bin/sh", 5.0),)),
}  # fmt: skip


@pytest.mark.parametrize(("ppid", "events"), NO_UPDATE.values(), ids=NO_UPDATE.keys())
def test_whoever_comes_after_an_announced_update_is_none(
    ppid: int, events: tuple[Event, ...]
) -> None:
    story = Story()
    story.see(1.0, started(50, 1, "/usr/bin/python3", 1.0))
    story.tell(UpdateAnnounced(3.0, WALL, (50,)))
    story.see(5.0, *events)
    assert not child_of_update(story, 6.0, ppid)


def test_what_the_shell_reports_is_an_incident_of_ours() -> None:
    story = Story()
    story.tell(
        Reported(1.0, WALL, "rules-refused", "A bundle was refused", Severity.HIGH, {"A": "b"})
    )
    (incident,) = story.incidents()
    assert incident.finding.rule_id == "vedette:rules-refused"
    assert incident.finding.event_class is EventClass.AGENT


def test_stopping_tells_what_waited_for_an_answer_and_closes_it() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/bin/wget", 1.0))
    story.tell(Stopping(2.0, WALL + 2.0))
    assert [i.status for i in story.incidents()] == [
        IncidentStatus.CREATED,
        IncidentStatus.CLOSED,
    ]


def test_a_rule_that_cannot_be_run_here_is_told_and_stops_no_other() -> None:
    story = Story()
    broken = rule("broken", "process_creation", Match("Image", "re", "(", False))
    story.tell(RulesLoaded(1.0, WALL, replace(BUNDLE, rules=(broken, *RULES))))
    (own,) = story.incidents()
    assert own.finding.rule_id == "vedette:rule-refused"
    assert own.finding.fields["Target"] == "broken"
    story.see(2.0, started(10, 1, "/usr/bin/wget", 2.0))
    story.answer(2.1)
    assert story.incidents()[-1].finding.rule_id == "wget"


def test_without_rules_nothing_is_found_and_nothing_breaks() -> None:
    agent = Agent(SETTINGS)
    assert agent.handle(Observed(1.0, WALL, (started(10, 1, "/usr/bin/wget", 1.0),))) == []


def test_a_replay_gives_the_same_bytes() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0))
    for n in range(50):
        story.see(2.0 + n, started(100 + n, 10, "/bin/sh", 2.0 + n, f"sh -c {n % 7} \udcff"))
        story.answer(2.5 + n)
    story.tell(Ticked(500.0, WALL + 500.0))
    live = [c.draft.body for c in story.commands if isinstance(c, Append)]
    settings, inputs = decode(bytes(story.recording))
    again = Agent(settings)
    replayed = [
        command.draft.body
        for given in inputs
        for command in again.handle(given)
        if isinstance(command, Append)
    ]
    assert replayed == live
    assert len(live) > 2
    assert ocsf.canonical(json.loads(live[0])) == live[0]


def test_a_clock_that_jumps_changes_what_people_read_and_nothing_else() -> None:
    story = Story()
    story.tell(Observed(1.0, 0.0, (started(10, 1, "/usr/bin/wget", 1.0),)))
    story.answer(1.1)
    story.tell(Observed(2.0, 4e9, (started(11, 1, "/usr/bin/wget", 2.0, "wget b"),)))
    story.answer(2.1)
    assert [(i.status, i.first_seen_wall_s) for i in story.incidents()] == [
        (IncidentStatus.CREATED, 0.0),
        (IncidentStatus.CREATED, 4e9),
    ]


def answer_with(story: Story, at_s: float, *others: int) -> None:
    """Answer the open questions; these pids had been used again before the event."""
    for command in list(story.commands):
        if isinstance(command, Resolve):
            story.commands.remove(command)
            details = tuple(
                ProcessDetail(subject.pid, 0, "", "", is_other=subject.pid in others)
                for subject in command.subjects
            )
            story.tell(Resolved(at_s, WALL + at_s, command.ticket, details))


@pytest.mark.parametrize(
    ("other", "chain", "absent"),
    [
        (1, [11, 10], {"Ancestors"}),
        (10, [11], {"Ancestors", "ParentImage", "ParentCommandLine"}),
        (11, [], {"Ancestors", "ParentImage", "ParentCommandLine", "Image", "CommandLine"}),
        (99, [11, 10, 1], set()),
    ],
)
def test_who_had_a_pid_before_is_not_in_the_chain(
    other: int, chain: list[int], absent: set[str]
) -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0), started(11, 10, "/bin/sh", 1.0))
    answer_with(story, 1.1, other)
    (incident,) = story.incidents()
    assert [link.key.pid for link in incident.finding.chain] == chain
    shown = {"Ancestors", "ParentImage", "ParentCommandLine", "Image", "CommandLine"}
    assert shown - incident.finding.fields.keys() == absent


def test_the_shell_learns_when_a_process_was_known_and_spoken_of() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/usr/sbin/httpd", 1.0))
    commands = story.see(9.0, started(11, 10, "/bin/sh", 8.9))
    (question,) = [command for command in commands if isinstance(command, Resolve)]
    assert [(s.pid, s.known_s, s.spoken_s) for s in question.subjects] == [
        (11, 8.9, 8.9), (10, 1.0, 8.9), (1, 0.0, 8.9),
    ]  # fmt: skip


def test_what_could_not_be_read_of_a_command_is_absent_and_said() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/bin/wget", 1.0)._replace(is_complete=False, command_line=""))
    story.answer(1.1)
    (incident,) = story.incidents()
    assert incident.finding.fields["CommandLineIncomplete"] == "true"
    assert "CommandLine" not in incident.finding.fields


def test_hostile_lengths_are_cut_and_said_never_left_out() -> None:
    story = Story()
    line = "wget " + "\x1b" * 60_000
    parents = [started(n, n - 1, f"/{chr(1) * 4000}/{n}", 1.0, "p" * 60_000) for n in range(2, 18)]
    story.see(1.0, *parents, started(30, 17, "/bin/wget", 2.0, line))
    story.answer(2.1)
    (document,) = story.documents()
    assert document["finding_info"]["analytic"]["uid"] == "wget"
    assert len(json.dumps(document)) < 128 << 10
    shown = document["evidences"][0]["data"]["CommandLine"]
    assert "left out] …" in shown


def test_what_is_kept_of_a_long_command_line_is_bounded() -> None:
    story = Story()
    story.see(1.0, started(10, 1, "/bin/x", 1.0, "y" * 60_000))
    kept = story.agent.processes.get(10)
    assert kept is not None
    assert len(kept.command_line) == len(kept.argv0) == MAX_TEXT
