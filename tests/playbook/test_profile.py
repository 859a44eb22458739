"""Stories of a device that learns what it does, and of one that does something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.playbook.test_agent import WALL, Story, started
from tests.simulators.device_stream import process_events

from vedette.codec.profile import encode
from vedette.core.agent import Agent
from vedette.core.commands import Append, Resolve, Wake
from vedette.core.departures import Thing
from vedette.core.inputs import (
    LearningSet,
    LookedUp,
    Observed,
    ProcessDetail,
    ProfileLoaded,
    Resolved,
    Seeded,
    Standing,
    Stopping,
    Ticked,
)
from vedette.core.names import LATE_S
from vedette.core.profile import MAX_DRIFT, MAX_HELD, MAX_QUESTIONS
from vedette.core.recording import decode
from vedette.model.event import ConnectionOpened, Event, ListenerOpened, NameResolved
from vedette.model.profile import Learnt, LeftOut, Listener, Origin, Pair, Peer, Profile

GOOD, BAD = "ab" * 32, "ef" * 32


def connected(
    at_s: float, pid: int, address: str, port: int = 443, *, is_initiated: bool = True
) -> ConnectionOpened:
    return ConnectionOpened(
        at_s, "conntrack", "tcp", is_initiated, "10.0.0.2", 40_000, address, port, pid, 0
    )


def listening(at_s: float, pid: int, port: int, address: str = "0.0.0.0") -> ListenerOpened:
    return ListenerOpened(at_s, "listeners", "tcp", address, port, pid, 0)


def a_day(at_s: float) -> tuple[Event, ...]:
    """What this device does: init starts a daemon that runs a helper, listens and calls home."""
    return (
        started(10, 1, "/usr/sbin/camd", at_s),
        started(11, 10, "/bin/busybox", at_s + 0.1, "sh -c ping"),
        listening(at_s + 0.2, 10, 80),
        NameResolved(at_s + 0.3, "dns", "home.example", "192.0.2.7", 60),
        connected(at_s + 0.4, 10, "192.0.2.7"),
        connected(at_s + 0.5, 10, "192.168.1.5", 8080),
        connected(at_s + 0.6, 10, "127.0.0.1", 9000),
        connected(at_s + 0.7, 10, "198.51.100.9", is_initiated=False),
    )


class Device(Story):
    """An agent whose files have contents."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[str, str] = {}

    def live(self, at_s: float, *events: Event) -> None:
        """Let events happen and their addresses stand, and answer every question."""
        self.see(at_s, *events)
        self.tell(Ticked(at_s + LATE_S + 1, WALL + at_s))
        self.read_contents(at_s)

    def read_contents(self, at_s: float) -> None:
        while open_ones := [one for one in self.commands if isinstance(one, Resolve)]:
            command = open_ones[0]
            self.commands.remove(command)
            details = tuple(
                ProcessDetail(
                    subject.pid, 1, "", self.contents.get(subject.image, GOOD if not number else "")
                )
                for number, subject in enumerate(command.subjects)
            )
            self.tell(Resolved(at_s, WALL + at_s, command.ticket, details))

    def learn(self, learnt: Learnt | None = Learnt()) -> None:  # noqa: B008 (immutable)
        self.tell(LearningSet(0.5, WALL, learnt))

    def load(self, learnt: Learnt) -> None:
        profile = Profile("p", 1, 1, 2, "", "f", Origin("d", 1, 1, 1, 0), learnt, "")
        self.tell(ProfileLoaded(1.0, WALL, profile))

    def learnt(self) -> Learnt:
        learner = self.agent.profile.learner
        assert learner is not None
        return learner.learnt()

    def found(self) -> list[tuple[str, str]]:
        """(rule, severity) of the incidents of profiles, in the order of their first report."""
        pairs = [
            (one.finding.rule_id.removeprefix("vedette:"), one.finding.severity.name)
            for one in self.incidents()
            if one.finding.rule_id.startswith("vedette:") and one.status == "created"
        ]
        return [pair for pair in pairs if "lost" not in pair[0]]


def learnt_of(*days: tuple[Event, ...]) -> Learnt:
    device = Device()
    device.learn()
    for day in days:
        device.live(day[0].at_s, *day)
    return device.learnt()


def test_a_day_is_learnt_in_the_words_a_person_reviews() -> None:
    learnt = learnt_of(a_day(10.0))
    assert {one.path: one.digests for one in learnt.programs} == {
        "/init": (GOOD,),
        "/usr/sbin/camd": (GOOD,),
        "/bin/sh": (GOOD,),
    }
    assert learnt.pairs == (Pair("/init", "/usr/sbin/camd"), Pair("/usr/sbin/camd", "/bin/sh"))
    assert learnt.listeners == (Listener("/usr/sbin/camd", "tcp", 80),)
    assert learnt.peers == (
        Peer("/usr/sbin/camd", "tcp", "192.168.1.5", 8080),
        Peer("/usr/sbin/camd", "tcp", "home.example", 443),
    )
    assert learnt.left_out == LeftOut()


def test_the_same_day_again_is_quiet() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    for at_s in (10.0, 100.0, 2000.0):
        device.live(at_s, *a_day(at_s))
    assert device.found() == []
    assert device.agent.profile.drift == {}


STRANGE: dict[str, tuple[tuple[Event, ...], tuple[str, str]]] = {
    "a program from a place that anybody may write to": (
        (started(20, 10, "/tmp/dropper", 50.0),), ("profile-program", "HIGH")),
    "a program of the firmware that never ran": (
        (started(20, 10, "/usr/bin/strace", 50.0),), ("profile-program", "MEDIUM")),
    "a known program that a service never started": (
        (started(20, 10, "/usr/sbin/camd", 50.0),), ("profile-pair", "HIGH")),
    "a known program that another one never started": (
        (started(20, 11, "/usr/sbin/camd", 50.0),), ("profile-pair", "MEDIUM")),
    "a port to the world": ((listening(50.0, 10, 4444),), ("profile-listener", "HIGH")),
    "a port for this host": (
        (listening(50.0, 10, 4444, "127.0.0.1"),), ("profile-listener", "MEDIUM")),
    "a peer on the internet": ((connected(50.0, 10, "203.0.113.5"),), ("profile-peer", "MEDIUM")),
    "a peer in the house": ((connected(50.0, 10, "192.168.1.99"),), ("profile-peer", "LOW")),
    "a known peer on another port": (
        (connected(50.0, 10, "192.0.2.7", 23),), ("profile-peer", "MEDIUM")),
    "a known peer of another program": (
        (connected(50.0, 11, "192.168.1.5", 8080),), ("profile-peer", "LOW")),
}  # fmt: skip


def test_what_leaves_the_profile_is_one_finding_each_and_counted_after() -> None:
    learnt = learnt_of(a_day(10.0))
    for story, (events, wanted) in STRANGE.items():
        device = Device()
        device.load(learnt)
        device.live(10.0, *a_day(10.0))
        device.live(50.0, *events)
        assert device.found() == [wanted], story
        device.see(4999.0, NameResolved(4999.0, "dns", "home.example", "192.0.2.7", 60))
        device.live(5000.0, *[event._replace(at_s=5000.0) for event in events])
        assert device.found() == [wanted], f"{story}: told once"
        assert list(device.agent.profile.drift.values()) == [2], f"{story}: and counted"


def test_a_finding_says_what_is_not_in_the_profile_and_which_technique_it_may_be() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.live(10.0, *a_day(10.0))
    device.live(50.0, started(20, 10, "/usr/sbin/camd", 50.0, "camd --shell"))
    (document,) = device.documents()
    shown = document["evidences"][0]["data"]
    assert shown["Reason"] == "/usr/sbin/camd does not start /usr/sbin/camd in the profile"
    assert shown["CommandLine"] == "camd --shell"
    assert "attack.t1190" in str(document)


def test_a_known_name_with_another_content_is_told_once_for_each_content() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.contents["/usr/sbin/camd"] = BAD
    device.live(10.0, *a_day(10.0))
    device.live(20.0, *a_day(20.0))
    assert device.found() == [("profile-content", "HIGH")]


def test_a_content_that_cannot_be_read_accuses_nobody() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.contents["/usr/sbin/camd"] = ""
    device.live(10.0, *a_day(10.0))
    assert device.found() == []


def test_a_program_with_a_random_name_is_known_by_its_content_alone() -> None:
    learnt = learnt_of((*a_day(10.0), started(12, 10, "/tmp/up-a8f3k2", 11.0)))
    assert "/tmp/up-{random}" in {one.path for one in learnt.programs}
    for content, wanted in ((GOOD, []), (BAD, ["HIGH"]), ("", ["HIGH"])):
        device = Device()
        device.load(learnt)
        device.live(10.0, *a_day(10.0))
        device.contents["/tmp/up-z9y8x7"] = content
        device.live(50.0, started(20, 10, "/tmp/up-z9y8x7", 50.0))
        assert [severity for _, severity in device.found()] == wanted, content


def test_a_connection_waits_for_its_name_and_then_its_address_stands() -> None:
    learnt = learnt_of(a_day(10.0))
    device = Device()
    device.load(learnt)
    device.live(10.0, *a_day(10.0))
    commands = device.see(50.0, connected(50.0, 10, "192.0.2.200"))
    assert Wake(50.0 + LATE_S) in commands
    device.see(50.5, NameResolved(50.5, "dns", "home.example", "192.0.2.200", 60))
    device.tell(Ticked(60.0, WALL))
    assert device.found() == []
    device.see(70.0, connected(70.0, 10, "192.0.2.201"))
    assert device.found() == []
    device.tell(Ticked(70.0 + LATE_S, WALL))
    device.read_contents(73.0)
    assert device.found() == [("profile-peer", "MEDIUM")]


def test_what_waits_for_a_name_is_judged_before_the_agent_ends() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.live(10.0, *a_day(10.0))
    device.see(50.0, connected(50.0, 10, "203.0.113.5"))
    device.tell(Stopping(50.1, WALL))
    assert device.found() == [("profile-peer", "MEDIUM")]


def test_a_storm_of_connections_is_bounded_and_still_judged() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.live(10.0, *a_day(10.0))
    storm = [
        connected(50.0, 10, f"203.{number // 250}.113.{number % 250}")
        for number in range(MAX_HELD + MAX_DRIFT + 10)
    ]
    device.see(50.0, *storm)
    device.tell(Ticked(60.0, WALL))
    device.read_contents(60.0)
    assert len(device.agent.profile.drift) == MAX_DRIFT
    assert device.agent.profile.next_s() is None
    assert device.found() == [("profile-peer", "MEDIUM")], "one incident, and its count"


def test_who_fills_the_profile_while_it_is_learnt_does_not_win_in_silence() -> None:
    device = Device()
    device.learn()
    for number in range(1100):
        device.see(float(number), started(100 + number, 1, f"/tmp/p{number}/x", float(number)))
    device.read_contents(1200.0)
    assert ("learning-overflow", "HIGH") in device.found()
    assert device.learnt().left_out.programs > 0


def test_learning_does_not_silence_the_profile_in_force() -> None:
    device = Device()
    device.load(learnt_of(a_day(10.0)))
    device.live(10.0, *a_day(10.0))
    device.learn()
    device.live(50.0, started(20, 10, "/tmp/dropper", 50.0))
    assert device.found() == [("profile-program", "HIGH")]
    assert "/tmp/dropper" in {one.path for one in device.learnt().programs}


def test_what_was_there_before_is_learnt_and_judged() -> None:
    device = Device()
    device.tell(Seeded(0.2, WALL, (started(5, 1, "/usr/sbin/ntpd", 0.1),), {}))
    device.learn()
    device.tell(Standing(0.6, WALL, (listening(0.6, 5, 123),)))
    learnt = device.learnt()
    assert Pair("/init", "/usr/sbin/ntpd") in learnt.pairs
    assert Listener("/usr/sbin/ntpd", "tcp", 123) in learnt.listeners
    other = Device()
    other.load(learnt)
    other.tell(Seeded(2.0, WALL, (started(6, 1, "/usr/sbin/telnetd", 0.1),), {}))
    other.tell(LookedUp(3.0, WALL, (started(7, 1, "/tmp/implant", 0.1),)))
    other.tell(Standing(4.0, WALL, (listening(4.0, 6, 23),)))
    other.read_contents(5.0)
    # Both programs are one incident each; neither is judged by who its parent is now.
    assert sorted(other.found()) == [
        ("profile-listener", "HIGH"), ("profile-program", "HIGH"), ("profile-program", "MEDIUM"),
    ]  # fmt: skip


def test_learning_goes_on_where_an_earlier_process_stopped() -> None:
    first = learnt_of(a_day(10.0))
    device = Device()
    device.learn(first)
    device.live(20.0, started(30, 1, "/usr/sbin/crond", 20.0))
    assert set(device.learnt().pairs) == {*first.pairs, Pair("/init", "/usr/sbin/crond")}
    device.learn(None)
    device.live(30.0, started(31, 1, "/tmp/late", 30.0))
    assert device.agent.profile.learner is None
    assert device.found() == []


def test_without_a_profile_and_without_learning_nothing_is_asked() -> None:
    device = Device()
    device.see(10.0, *a_day(10.0))
    assert not [one for one in device.commands if isinstance(one, Resolve | Append)]
    assert device.agent.profile.next_s() is None


def test_questions_are_bounded_and_asked_later() -> None:
    device = Device()
    device.learn()
    many = [started(100 + n, 1, f"/usr/bin/p{n}", 10.0) for n in range(MAX_QUESTIONS + 40)]
    device.see(10.0, *many)
    asked = [one for one in device.commands if isinstance(one, Resolve)]
    assert len(asked) == MAX_QUESTIONS
    device.read_contents(11.0)
    device.see(20.0, *[event._replace(at_s=20.0) for event in many])
    device.read_contents(21.0)
    assert all(one.digests for one in device.learnt().programs)


def test_a_recording_of_learning_and_judging_replays_to_the_same_bytes() -> None:
    device = Device()
    device.learn()
    device.live(10.0, *a_day(10.0))
    device.load(device.learnt())
    for events, _ in STRANGE.values():
        device.live(50.0, *events)
    wanted = [one.draft.body for one in device.commands if isinstance(one, Append)]
    settings, inputs = decode(bytes(device.recording))
    again = Agent(settings)
    bodies: list[Any] = []
    for given in inputs:
        bodies += [one.draft.body for one in again.handle(given) if isinstance(one, Append)]
    assert bodies == wanted
    learner = again.profile.learner
    assert learner is not None
    assert learner.learnt() == device.learnt()


@pytest.mark.thorough
def test_a_device_that_does_what_it_always_does_is_quiet() -> None:
    """Half of a device's day is learnt; the other half, with new pids and names, says nothing."""
    day = list(process_events(20_000, seed=7))
    device = Device()
    device.learn()
    live_through(device, day[:10_000])
    other = Device()
    other.load(device.learnt())
    live_through(other, day[10_000:])
    assert other.found() == []
    assert device.learnt().left_out == LeftOut()


def live_through(device: Device, day: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    for first in range(0, len(day), 250):
        at_s, events = 10.0 + first, []
        for number, (_, fields) in enumerate(day[first : first + 250]):
            parent, child = fields["ParentImage"], fields["Image"]
            pid = 100 + 2 * (first + number)
            events += [
                started(pid, 1, parent, at_s, fields["ParentCommandLine"]),
                started(pid + 1, pid, child, at_s, fields["CommandLine"]),
            ]
        device.see(at_s, *events)
        device.read_contents(at_s)


def test_the_learnt_profile_can_be_signed() -> None:
    profile = Profile("p", 1, 1, 2, "", "f", Origin("d", 1, 1, 1, 0), learnt_of(a_day(1.0)), "")
    assert encode(profile)
    assert Thing("peer", ("a",)) != Thing("program", ("a",))


def test_a_batch_costs_nothing_more_than_one_test_where_nothing_is_on() -> None:
    device = Device()
    assert device.tell(Observed(10.0, WALL, a_day(10.0))) == []
