"""Rules at work: what correlations tell, who is muted and how it ends, how rules are replaced."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vedette.core import budgets
from vedette.core.agent import Agent, AgentSettings
from vedette.core.budgets import (
    ALERT_WINDOW_S,
    FIRST_MUTE_S,
    LONGEST_MUTE_S,
    MAX_ALERTS,
    WORK_WINDOW_S,
)
from vedette.core.commands import Append, Continue, Resolve
from vedette.core.engine import SLICE_WORK, Engine
from vedette.core.inputs import (
    Continued,
    Input,
    Observed,
    Resolved,
    RulesLoaded,
    RuleSlow,
    Ticked,
)
from vedette.core.recording import decode, encode_header, encode_input
from vedette.model.event import Event, LogLine, ProcessStarted
from vedette.model.finding import Finding, Incident, IncidentStatus, Severity
from vedette.model.rule import (
    Bundle,
    Correlation,
    CorrelationKind,
    Exclusion,
    Match,
    Rule,
    Threshold,
)

WALL = 1_795_000_000.0
SETTINGS = AgentSettings("home", "cam-1", "0" * 32, quiet_s=60.0, device_class="camera")


def rule(name: str, word: str, category: str = "process_creation", *, told: bool = True) -> Rule:
    field = "Message" if category.startswith("service:") else "CommandLine"
    match = Match(field, "contains", word, is_cased=False)
    return Rule(name, f"Rule {name}", "An Author", Severity.HIGH, (), category, match, (), told)


def correlation(
    kind: CorrelationKind, rules: tuple[str, ...], least: int, group_by: tuple[str, ...]
) -> Correlation:
    return Correlation(
        "chain", "A chain", "Its Author", Severity.CRITICAL, ("attack.t1110",), kind, rules,
        group_by, 60, (Threshold("gte", least),),
    )  # fmt: skip


def bundle(*rules: Rule, counter: int = 1, correlations: tuple[Correlation, ...] = ()) -> Bundle:
    return Bundle("test", counter, 0, 2**40, rules, (), f"{counter:064x}", correlations)


def started(at_s: float, pid: int, line: str) -> ProcessStarted:
    image = "/bin/" + line.split(" ", maxsplit=1)[0]
    return ProcessStarted(at_s, "audit", pid, 1, 0, image, image, line, True, 0, -1, "", "", 0, 0)


class Device:
    """An agent that is told things, and everything it asked for."""

    def __init__(self, first: Bundle) -> None:
        self.agent = Agent(SETTINGS)
        self.recording = bytearray(encode_header(SETTINGS))
        self.reports: list[Incident] = []
        self.bodies: list[bytes] = []
        self.waits_for_turn = False
        self.tell(RulesLoaded(0.0, WALL, first))

    def tell(self, given: Input) -> None:
        self.recording += encode_input(given)
        commands = self.agent.handle(given)
        for command in commands:
            if isinstance(command, Append):
                self.bodies.append(command.draft.body)
                if command.incident is not None:
                    self.reports.append(command.incident)
            elif isinstance(command, Continue):
                assert not self.waits_for_turn, "one Continue at a time"
                self.waits_for_turn = True
        for command in commands:
            if isinstance(command, Resolve):
                self.tell(Resolved(given.at_s, given.wall_s, command.ticket, ()))

    def see(self, *events: Event) -> None:
        at_s = max(event.at_s for event in events)
        self.tell(Observed(at_s, WALL + at_s, events))

    def tick(self, at_s: float) -> None:
        self.tell(Ticked(at_s, WALL + at_s))

    def turn(self, at_s: float) -> bool:
        """Let it do one slice; whether it asked for a turn."""
        is_asked, self.waits_for_turn = self.waits_for_turn, False
        if is_asked:
            self.tell(Continued(at_s, WALL + at_s))
        return is_asked

    def told(self, rule_id: str) -> list[Finding]:
        return [
            report.finding
            for report in self.reports
            if report.finding.rule_id == rule_id and report.status is not IncidentStatus.CLOSED
        ]

    def count(self, rule_id: str) -> int:
        """How many findings of a rule were counted, told or not."""
        self.tick(1e9)
        closed = [r for r in self.reports if r.status is IncidentStatus.CLOSED]
        return sum(report.count for report in closed if report.finding.rule_id == rule_id)

    def replayed(self) -> list[bytes]:
        settings, inputs = decode(bytes(self.recording))
        agent = Agent(settings)
        return [
            command.draft.body
            for given in inputs
            for command in agent.handle(given)
            if isinstance(command, Append)
        ]


def test_failed_logins_then_one_that_succeeds_is_a_finding_with_what_it_saw() -> None:
    failed = rule("failed", "failed password", "service:sshd", told=False)
    accepted = rule("accepted", "accepted password", "service:sshd", told=False)
    many = replace(
        correlation("event_count", ("failed",), 5, ("Service",)), rule_id="many", is_reported=False
    )
    chain = correlation("temporal_ordered", ("many", "accepted"), 2, ("Service",))
    device = Device(bundle(failed, accepted, correlations=(many, chain)))
    for n in range(5):
        device.see(LogLine(1.0 + n, "journald", "sshd", f"Failed password for root {n}", 0))
    assert device.reports == []
    device.see(LogLine(9.0, "journald", "sshd", "Accepted password for root", 0))
    (finding,) = device.told("chain")
    assert (finding.title, finding.author, finding.severity) == (
        "A chain", "Its Author", Severity.CRITICAL,
    )  # fmt: skip
    assert finding.fields["Message"] == "Accepted password for root"
    assert finding.fields["Count"] == "2"
    assert finding.fields["GroupBy"] == "Service"
    assert finding.fields["SpanSeconds"] == "4"
    assert finding.tags == ("attack.t1110",)
    assert [report.finding.rule_id for report in device.reports] == ["chain"]
    (document,) = (json.loads(body) for body in device.bodies)
    assert document["finding_info"]["analytic"]["uid"] == "chain"


def test_a_correlation_of_processes_carries_the_chain_of_its_newest_event() -> None:
    chain = correlation("temporal", ("fetch", "run"), 2, ("User",))
    device = Device(bundle(rule("fetch", "wget"), rule("run", "dropped"), correlations=(chain,)))
    device.see(started(1.0, 10, "wget http://x"), started(2.0, 11, "dropped"))
    (finding,) = device.told("chain")
    assert [link.image for link in finding.chain] == ["/bin/dropped"]


def test_each_group_of_one_correlation_is_told_and_repeats_are_counted() -> None:
    failed = rule("failed", "failed", "service:sshd", told=False)
    many = correlation("event_count", ("failed",), 2, ("Message",))
    device = Device(bundle(failed, correlations=(many,)))
    for who in ("failed a", "failed b"):
        for n in range(10):
            device.see(LogLine(1.0 + n / 10, "journald", "sshd", who, 0))
    assert [finding.fields["Message"] for finding in device.told("chain")] == [
        "failed a", "failed b",
    ]  # fmt: skip
    assert device.count("chain") == 18


def test_what_an_exclusion_takes_out_counts_for_nothing() -> None:
    harmless = Match("CommandLine", "contains", "--vendor", is_cased=False)
    exclusion = Exclusion("f", "F", ("camera",), ("fetch",), "process_creation", harmless)
    many = correlation("event_count", ("fetch",), 2, ())
    first = replace(bundle(rule("fetch", "wget"), correlations=(many,)), exclusions=(exclusion,))
    device = Device(first)
    device.see(*(started(1.0 + n, 10 + n, "wget --vendor") for n in range(9)))
    assert device.reports == []
    assert device.agent.engine is not None
    assert device.agent.engine.excluded() == {"f": 9}


def make_noise(device: Device, from_s: float) -> float:
    """New trees with new command lines, until the rule is muted; when that was."""
    before = len(device.told("vedette:rule-muted"))
    at_s = from_s
    while len(device.told("vedette:rule-muted")) == before:
        at_s += 1.0
        assert at_s < from_s + ALERT_WINDOW_S, "never muted"
        device.see(*(started(at_s, int(at_s) + 100, f"noise {at_s} {n}") for n in range(8)))
        device.tick(at_s)
    return at_s


def test_a_rule_that_tells_too_much_is_silent_for_a_while_and_says_so() -> None:
    device = Device(bundle(rule("noisy", "noise"), rule("other", "other")))
    at_s = make_noise(device, 0.0)
    (muted,) = device.told("vedette:rule-muted")
    assert muted.severity is Severity.HIGH
    assert muted.fields["Target"] == "noisy"
    assert muted.fields["Seconds"] == f"{FIRST_MUTE_S:.0f}"
    assert str(MAX_ALERTS) in muted.fields["Reason"]
    told = len(device.told("noisy"))
    device.see(*(started(at_s + 1, 9000 + n, f"noise other {n}") for n in range(50)))
    assert len(device.told("noisy")) == told
    assert device.told("other"), "no other rule is touched"
    device.tick(at_s + FIRST_MUTE_S)
    (unmuted,) = device.told("vedette:rule-unmuted")
    assert int(unmuted.fields["Held"]) >= 50
    device.see(started(at_s + FIRST_MUTE_S + 1, 9999, "noise again"))
    assert len(device.told("noisy")) == told + 1
    assert device.replayed() == device.bodies


def test_a_silent_rule_still_feeds_its_correlations() -> None:
    chain = correlation("temporal_ordered", ("noisy", "end"), 2, ())
    device = Device(bundle(rule("noisy", "noise"), rule("end", "end"), correlations=(chain,)))
    at_s = make_noise(device, 0.0) + 100.0
    device.see(started(at_s, 9000, "noise"), started(at_s + 1, 9001, "end"))
    assert len(device.told("chain")) == 1


@pytest.mark.thorough
def test_who_is_muted_again_soon_is_muted_for_longer_up_to_a_bound() -> None:
    device = Device(bundle(rule("noisy", "noise")))
    at_s, seconds = 0.0, []
    for _ in range(5):
        at_s = make_noise(device, at_s)
        seconds.append(float(device.told("vedette:rule-muted")[-1].fields["Seconds"]))
        at_s += seconds[-1]
        device.tick(at_s)
    assert seconds[:3] == [FIRST_MUTE_S, 2 * FIRST_MUTE_S, 4 * FIRST_MUTE_S]
    assert max(seconds) == LONGEST_MUTE_S


def test_a_rule_that_costs_too_much_is_not_asked_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budgets, "MAX_WORK", 100_000)
    device = Device(bundle(rule("costly", "curl"), rule("cheap", "wget")))
    engine = device.agent.engine
    assert engine is not None
    device.see(started(0.5, 10, "ls"))  # a window begins with its first batch
    device.see(started(WORK_WINDOW_S + 1, 10, "ls 2"))
    for n in range(30):
        device.see(started(WORK_WINDOW_S + 2, 10, f"curl {'x' * 4000} {n}"))
    assert device.told("vedette:rule-muted") == [], "judged when its window ends"
    device.see(started(2 * WORK_WINDOW_S + 5, 10, "ls 3"))
    (muted,) = device.told("vedette:rule-muted")
    assert muted.fields["Target"] == "costly"
    device.see(started(2 * WORK_WINDOW_S + 6, 10, "curl again"), started(31.5, 11, "wget"))
    assert engine.work()["costly"].asked == 30
    device.tick(2 * WORK_WINDOW_S + 6 + FIRST_MUTE_S)
    device.see(started(400.0, 10, "curl at last"))
    assert engine.work()["costly"].asked == 31
    assert device.count("cheap") == 1
    assert device.replayed() == device.bodies


def test_a_storm_of_ordinary_lines_mutes_nobody() -> None:
    engine = Engine(bundle(rule("asked", "curl")))
    for n in range(100):
        line = f"curl http://device.example/{n}" + "x" * 300
        engine.match("process_creation", {"CommandLine": line, "Image": "/usr/bin/curl"})
    work = engine.work()["asked"]
    storm = 8500 * WORK_WINDOW_S / 100
    assert storm * (work.asked * budgets.ASK_WORK + work.chars) < budgets.MAX_WORK


def test_a_rule_that_the_shell_found_too_slow_is_muted_and_the_replay_agrees() -> None:
    device = Device(bundle(rule("slow", "curl"), rule("quick", "curl")))
    device.tell(RuleSlow(1.0, WALL, "slow", 0.25))
    device.tell(RuleSlow(1.0, WALL, "slow", 0.25))
    device.tell(RuleSlow(1.0, WALL, "gone", 0.25))
    (muted,) = device.told("vedette:rule-muted")
    assert muted.fields["Reason"] == "one event took it 250 ms"
    device.see(started(2.0, 10, "curl"))
    assert device.told("slow") == []
    assert device.count("quick") == 1
    assert device.replayed() == device.bodies


def many_rules(counter: int, count: int = 300) -> Bundle:
    rules = [rule(f"r{n}", f"word{n:04}x") for n in range(count)]
    chain = correlation("event_count", ("r1",), 3, ())
    return bundle(*rules, rule(f"only{counter}", "mark"), counter=counter, correlations=(chain,))


def test_the_next_rules_are_built_between_batches_and_each_event_is_judged_once() -> None:
    device = Device(many_rules(1))
    device.tell(RulesLoaded(1.0, WALL, many_rules(2)))
    at_s, turns, seen = 1.0, 0, 0
    while device.turn(at_s):
        turns += 1
        at_s += 0.001
        device.see(started(at_s, 10, "mark"))
        seen += 1
    assert turns > 300 // SLICE_WORK
    by_old, by_new = device.count("only1"), device.count("only2")
    assert by_old > 0
    assert by_new > 0
    assert by_old + by_new == seen, "none dropped, none judged twice"
    assert device.replayed() == device.bodies


def test_no_turn_does_more_than_a_slice_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    real = Engine._steps

    def counted(self: Engine) -> Iterator[int]:
        for work in real(self):
            done[-1] += work
            yield work

    device = Device(many_rules(1))
    monkeypatch.setattr(Engine, "_steps", counted)
    device.tell(RulesLoaded(1.0, WALL, many_rules(2)))
    done.append(0)
    while device.turn(1.0):
        done.append(0)
    assert sum(done) > 300
    assert max(done) <= SLICE_WORK + 1


def test_rules_that_come_while_others_are_built_take_their_place() -> None:
    device = Device(many_rules(1))
    device.tell(RulesLoaded(1.0, WALL, many_rules(2)))
    device.turn(1.0)
    device.tell(RulesLoaded(1.0, WALL, many_rules(3)))
    while device.turn(1.0):
        pass
    assert device.agent.engine is not None
    assert device.agent.engine.bundle.counter == 3


def test_an_open_window_outlives_new_rules() -> None:
    device = Device(many_rules(1))
    device.see(started(1.0, 10, "word0001x"), started(2.0, 10, "word0001x"))
    device.tell(RulesLoaded(3.0, WALL, many_rules(2)))
    while device.turn(3.0):
        pass
    device.see(started(4.0, 10, "word0001x"))
    assert device.told("chain")[0].bundle == f"{2:064x}"


def test_a_muted_rule_stays_muted_unless_it_was_changed() -> None:
    same, changed = rule("same", "curl"), rule("changed", "curl")
    device = Device(bundle(same, changed))
    for muted in (same, changed):
        device.tell(RuleSlow(1.0, WALL, muted.rule_id, 0.25))
    device.tell(RulesLoaded(2.0, WALL, bundle(same, rule("changed", "curl "), counter=2)))
    while device.turn(2.0):
        pass
    (unmuted,) = device.told("vedette:rule-unmuted")
    assert (unmuted.fields["Target"], unmuted.fields["Reason"]) == ("changed", "it was replaced")
    device.see(started(3.0, 10, "curl x"))
    assert (len(device.told("same")), len(device.told("changed"))) == (0, 1)


def test_an_engine_that_was_replaced_is_freed_without_the_collector() -> None:
    device = Device(many_rules(1))
    assert device.agent.engine is not None
    before = weakref.ref(device.agent.engine)
    device.see(started(1.0, 10, "word0001x"))
    gc.disable()
    try:
        device.tell(RulesLoaded(2.0, WALL, many_rules(2)))
        while device.turn(2.0):
            pass
        assert before() is None
    finally:
        gc.enable()
