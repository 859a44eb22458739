"""Drills as the core follows them: what is a drill's, what is an incident all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command
from vedette.core.inputs import (
    DrillBegun,
    DrillEnded,
    Input,
    Observed,
    Rehearsed,
    RulesLoaded,
    Seeded,
)
from vedette.core.recording import decode, encode_header, encode_input
from vedette.model.event import (
    ConnectionOpened,
    Event,
    FileChanged,
    KernelActivity,
    NameQueried,
    ProcessStarted,
)
from vedette.model.finding import Severity
from vedette.model.rule import Bundle, Correlation, Match, Rule, Threshold

WORD, ADDRESS = "vedette-drill-abcdefghijkl", "127.9.8.7"
DRILL = ("vedette.drill",)
EXPECTED = {"process_creation": "ebpf", "file_event": "fanotify"}
LINE = f"python -m vedette.daemon.drill_player {WORD} {ADDRESS} /tmp"


def rule(rule_id: str, category: str, match: Match, tags: tuple[str, ...] = DRILL) -> Rule:
    fields = (match.field,)
    return Rule(rule_id, rule_id, "us", Severity.MEDIUM, tags, category, match, fields)


def contains(field: str, value: str) -> Match:
    return Match(field, "contains", value, is_cased=False)


PROCESS = rule("drill-process", "process_creation", contains("CommandLine", "vedette-drill-"))
KERNEL = rule("drill-kernel", "kernel_activity", contains("CommandLine", "vedette-drill-"))
FILE = rule("drill-file", "file_event", contains("TargetFilename", "/vedette-drill-"))
NETWORK = rule("drill-net", "network_connection", contains("DestinationPort", "61619"))
NAME = rule("drill-name", "dns_query", contains("QueryName", "vedette-drill-"))
REAL = rule("real", "process_creation", contains("CommandLine", "drill_player"), ("attack.t1059",))
BOTH = Correlation(
    "drill-both", "both", "us", Severity.MEDIUM, DRILL, "temporal",
    ("drill-process", "drill-kernel"), ("CommandLine",), 60, (Threshold("gte", 2),),
)  # fmt: skip


def bundle(*rules: Rule, correlations: tuple[Correlation, ...] = ()) -> Bundle:
    return Bundle("b", 1, 0, 0, rules, (), "d" * 64, correlations)


def process(line: str = LINE, pid: int = 70, at_s: float = 11.0) -> ProcessStarted:
    image = "/usr/bin/python3"
    return ProcessStarted(at_s, "ebpf", pid, 1, 0, image, image, line, True, 0, -1, "", "", 0, 0)


FILE_MADE = FileChanged(11.1, "fanotify", "created", f"/tmp/{WORD}", "", 70, 0o600, 0, False, "")
GUARDED_CALL = KernelActivity(11.2, "ebpf", "uid_change", 70, 0, "", "gid 0")


class Device:
    """A core with rules, and what it asked for."""

    def __init__(self, loaded: Bundle) -> None:
        self.settings = AgentSettings("t", "d", "0" * 32)
        self.agent = Agent(self.settings)
        self.commands: list[Command] = []
        self.recording = bytearray(encode_header(self.settings))
        self.tell(Seeded(1.0, 1001.0, (), {}))
        self.tell(RulesLoaded(2.0, 1002.0, loaded))

    def tell(self, given: Input) -> None:
        self.recording += encode_input(given)
        self.commands += self.agent.handle(given)

    def see(self, *events: Event) -> None:
        at_s = max(event.at_s for event in events)
        self.tell(Observed(at_s, 1000.0 + at_s, events))

    def begin(self, word: str = WORD, expected: Mapping[str, str] = EXPECTED) -> None:
        self.tell(DrillBegun(10.0, 1010.0, word, ADDRESS, expected, "timer"))

    def end(self, *responses: Rehearsed, is_final: bool = True) -> None:
        self.tell(DrillEnded(20.0, 1020.0, {"service": "no log"}, responses, is_final))

    def entries(self, kind: str) -> list[dict[str, object]]:
        drafts = [command.draft for command in self.commands if isinstance(command, Append)]
        assert all(draft.is_routine for draft in drafts if draft.kind == "drill")
        return [json.loads(draft.body) for draft in drafts if draft.kind == kind]

    def incidents(self) -> list[str]:
        titles = []
        for found in self.entries("incident"):
            info = found["finding_info"]
            assert isinstance(info, dict)
            titles.append(str(info["title"]))
        return titles


def test_a_drill_that_is_seen_is_one_entry_and_no_incident() -> None:
    device = Device(bundle(PROCESS, FILE))
    device.begin()
    device.see(process(), FILE_MADE)
    device.end()
    assert device.incidents() == []
    (entry,) = device.entries("drill")
    assert entry["seen"] == {
        "process_creation": {"tier": "ebpf", "after_ms": 1000, "rule": "drill-process"},
        "file_event": {"tier": "fanotify", "after_ms": 1100, "rule": "drill-file"},
    }
    assert entry["missed"] == entry["unmatched"] == []
    assert entry["not_played"] == {"service": "no log"}
    assert entry["took_ms"] == 10_000


def test_what_nobody_saw_is_an_incident_at_the_second_time() -> None:
    device = Device(bundle(PROCESS, FILE))
    device.begin()
    device.see(process())
    device.end(is_final=False)
    assert device.incidents() == []
    device.begin()
    device.see(process())
    device.end()
    assert device.incidents() == [
        "A drill's event was not seen: this class is watched by a blind source"
    ]
    assert [entry["missed"] for entry in device.entries("drill")] == [["file_event"]] * 2


def test_a_rule_that_does_not_match_what_was_seen_is_an_incident() -> None:
    lame = rule("drill-file", "file_event", contains("TargetFilename", "/somewhere/else"))
    device = Device(bundle(PROCESS, lame))
    device.begin()
    device.see(process(), FILE_MADE)
    device.end()
    assert device.incidents() == ["A drill's event was seen, and its rule did not match"]
    assert device.entries("drill")[0]["unmatched"] == ["file_event"]


def test_a_bundle_without_rules_for_drills_shows_the_sources_alone() -> None:
    device = Device(bundle(REAL))
    device.begin(expected={"file_event": "fanotify"})
    device.see(FILE_MADE)
    device.end()
    assert device.incidents() == []
    assert device.entries("drill")[0]["seen"] == {
        "file_event": {"tier": "fanotify", "after_ms": 1100, "rule": None}
    }


def test_matches_of_one_drill_are_joined() -> None:
    device = Device(bundle(PROCESS, KERNEL, correlations=(BOTH,)))
    device.begin(expected={})
    device.see(process(), GUARDED_CALL)
    device.end()
    assert device.incidents() == []
    assert device.entries("drill")[0]["correlation"] == "drill-both"


def test_correlations_that_join_nothing_are_an_incident() -> None:
    apart = Correlation(
        "drill-both", "both", "us", Severity.MEDIUM, DRILL, "temporal",
        ("drill-process", "drill-kernel"), ("NoSuchField",), 60, (Threshold("gte", 2),),
    )  # fmt: skip
    device = Device(bundle(PROCESS, KERNEL, correlations=(apart,)))
    device.begin(expected={})
    device.see(process(), GUARDED_CALL)
    device.end()
    assert device.entries("drill")[0]["unmatched"] == ["correlation"]
    assert len(device.incidents()) == 1


def test_another_rule_that_matches_the_drill_speaks_as_always() -> None:
    device = Device(bundle(PROCESS, REAL))
    device.begin()
    device.see(process(), FILE_MADE)
    device.end()
    device.tell(DrillEnded(21.0, 1021.0, {}, (), True))
    assert [command for command in device.commands if "Resolve" in type(command).__name__]


def test_somebody_who_plays_a_drill_of_their_own_is_an_incident() -> None:
    device = Device(bundle(FILE))
    device.see(FILE_MADE._replace(pid=0))
    assert device.incidents() == ["drill-file"]


def test_somebody_with_another_word_is_an_incident_while_a_drill_runs() -> None:
    device = Device(bundle(FILE))
    device.begin(expected={})
    device.see(FILE_MADE._replace(path="/tmp/vedette-drill-mine", pid=0))
    assert device.incidents() == ["drill-file"]


def test_what_a_source_tells_after_the_drill_is_still_its() -> None:
    device = Device(bundle(NAME))
    device.begin(expected={})
    device.end()
    device.see(NameQueried(20.5, "dns", f"{WORD}.invalid", 1))
    assert device.incidents() == []
    device.begin(word="vedette-drill-zzzzzzzzzzzz", expected={})
    device.end()
    device.see(NameQueried(30.0, "dns", f"{WORD}.invalid", 1))
    assert device.incidents() == ["drill-name"]


def test_connections_are_known_by_the_drills_address() -> None:
    made = ConnectionOpened(11.0, "ebpf", "tcp", True, "127.0.0.1", 5, ADDRESS, 61619, 0, -1)
    device = Device(bundle(NETWORK))
    device.begin(expected={"network_connection": "ebpf"})
    device.see(made)
    device.end()
    assert device.incidents() == []
    device.see(made._replace(destination_ip="127.1.1.1"))
    assert device.incidents() == ["drill-net"]


def test_a_response_that_is_not_ready_any_more_is_an_incident() -> None:
    working = Rehearsed("block_peer", True, "it would be done")
    broken = Rehearsed("block_peer", False, "nf_tables: Operation not permitted")
    never = Rehearsed("deny_exec", False, "set enabled = true in [deny]")
    device = Device(bundle(PROCESS))
    for found in ((working, never), (broken, never), (broken, never)):
        device.begin(expected={})
        device.end(*found, Rehearsed("kill", True, "it would be done"))
    assert device.incidents() == ["A response could not be carried out any more if it were needed"]
    entry = device.entries("drill")[1]
    assert entry["responses"] == [
        {"responder": "block_peer", "ready": False, "detail": broken.detail},
        {"responder": "deny_exec", "ready": False, "detail": never.detail},
        {"responder": "kill", "ready": True, "detail": "it would be done"},
    ]


def test_an_end_without_a_beginning_changes_nothing() -> None:
    device = Device(bundle(PROCESS))
    device.end()
    assert device.entries("drill") == []


def test_a_recording_with_drills_replays_to_the_same_commands() -> None:
    device = Device(bundle(PROCESS, FILE, KERNEL, correlations=(BOTH,)))
    device.begin()
    device.see(process(), GUARDED_CALL)
    device.end(Rehearsed("kill", True, "it would be done"))
    settings, inputs = decode(bytes(device.recording))
    again = Agent(settings)
    assert [command for given in inputs for command in again.handle(given)] == device.commands
