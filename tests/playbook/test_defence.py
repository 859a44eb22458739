"""Stories of defence: what is found on one side, what is asked of the responders on the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import (
    Append,
    Command,
    Continue,
    Probe,
    Promote,
    Release,
    Resolve,
    Respond,
    Undo,
)
from vedette.core.inputs import (
    Confirmed,
    Continued,
    EssentialProbed,
    Guarded,
    Held,
    Input,
    ModeOrdered,
    Observed,
    Ordered,
    PlaybooksLoaded,
    Resolved,
    Responded,
    Resumed,
    RulesLoaded,
    Seeded,
    Ticked,
    UndoOrdered,
)
from vedette.core.recording import decode, encode_header, encode_input
from vedette.model.event import ConnectionOpened, Event, FileChanged, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.playbook import (
    DeviceProfile,
    Limit,
    Playbook,
    Playbooks,
    Promotion,
    Step,
)
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
)
from vedette.model.rule import AllOf, Bundle, Match, Rule

WALL = 1_795_000_000.0
DONE = Outcome(ResponseStatus.DONE, "2 processes ended", {"processes": 2})
UNDONE = Outcome(ResponseStatus.UNDONE, "as it was", {})
FAILED = Outcome(ResponseStatus.FAILED, "the disk is full", {})

Kind = TypeVar("Kind", bound=Command)


def rule(rule_id: str, category: str, *matches: Match) -> Rule:
    tags = ("attack.t1059", "attack.execution")
    return Rule(rule_id, f"Rule {rule_id}", "A", Severity.HIGH, tags, category, AllOf(matches), ())


RULES = (
    rule("dropper", "process_creation", Match("Image", "startswith", "/tmp/", False)),
    rule("key", "file_event", Match("TargetFilename", "endswith", "/authorized_keys", False)),
    rule("peer", "network_connection", Match("DestinationPort", "equals", "4444", False)),
)
BUNDLE = Bundle("test", 1, 0, 2**40, RULES, (), "ab" * 32)


def playbook(name: str, rules: tuple[str, ...], *steps: Step, **more: Any) -> Playbook:
    made = Playbook(
        name, f"Playbook {name}", rules, (), Severity.LOW, steps, 60, 3, name.ljust(64, "0")
    )
    return made._replace(**more)


KILL = playbook("end-dropper", ("dropper",), Step("kill", "process", 0))
HIDE = playbook("hide-file", ("key",), Step("quarantine", "file", 600))
BLOCK = playbook("cut-peer", ("peer",), Step("block_peer", "peer", 600))
ENFORCE_ALL = {
    name: Limit(Mode.ENFORCE, 1000, 86_400)
    for name in ("kill", "quarantine", "block_peer", "isolate")
}


def playbooks(*some: Playbook, promoted: tuple[Playbook, ...] = (), counter: int = 1) -> Playbooks:
    profile = DeviceProfile("home", ("",), ENFORCE_ALL)
    digests = tuple(one.digest for one in promoted)
    return Playbooks("test", counter, 0, 2**40, some, (profile,), digests, "cd" * 32)


def started(pid: int, ppid: int, image: str, at_s: float) -> ProcessStarted:
    return ProcessStarted(
        at_s, "ebpf", pid, ppid, pid * 10, image, image, image, True, 0, -1, "", "", 0, 0
    )


class Story:
    """An agent with rules and playbooks, and all it asked for."""

    def __init__(self, content: Playbooks | None, mode: Mode = Mode.ENFORCE) -> None:
        settings = AgentSettings("home", "cam-1", "0" * 32, 60.0, response_mode=mode)
        self.agent = Agent(settings)
        self.recording = bytearray(encode_header(settings))
        self.commands: list[Command] = []
        self.tell(RulesLoaded(0.0, WALL, BUNDLE))
        self.tell(PlaybooksLoaded(0.0, WALL, content, {}))
        self.tell(Seeded(0.0, WALL, (started(1, 0, "/init", 0.0),), {0: "root"}))

    def tell(self, given: Input) -> list[Command]:
        self.recording += encode_input(given)
        commands = self.agent.handle(given)
        self.commands += [command for command in commands if command != Continue()]
        for _ in range(commands.count(Continue())):
            self.tell(Continued(given.at_s, given.wall_s))
        return commands

    def see(self, at_s: float, *events: Event) -> list[Command]:
        return self.tell(Observed(at_s, WALL + at_s, events))

    def tick(self, at_s: float) -> list[Command]:
        return self.tell(Ticked(at_s, WALL + at_s))

    def outcome(self, at_s: float, order: Order, outcome: Outcome, *, undo: bool = False) -> None:
        self.tell(Responded(at_s, WALL + at_s, order.response_id, undo, outcome))

    def asked(self, kind: type[Kind]) -> list[Kind]:
        return [command for command in self.commands if isinstance(command, kind)]

    def orders(self) -> list[Order]:
        return [command.order for command in self.asked(Respond)]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        drafts = [command.draft for command in self.asked(Append)]
        return [json.loads(draft.body) for draft in drafts if draft.kind == kind]

    def told(self) -> list[str]:
        found = [command.incident for command in self.asked(Append)]
        return [incident.finding.rule_id for incident in found if incident is not None]


def dropped(pid: int = 10, at_s: float = 1.0) -> ProcessStarted:
    return started(pid, 1, "/tmp/x", at_s)


def written(at_s: float) -> FileChanged:
    path = "/root/.ssh/authorized_keys"
    return FileChanged(at_s, "fanotify", "modified", path, "", 0, 0o100600, 0, False, "")


def connected(
    address: str,
    at_s: float,
    *,
    protocol: str = "tcp",
    ours: bool = True,
    is_established: bool = False,
) -> Event:
    here = ("10.0.0.5", 40_000)
    there = (address, 4444)
    source, destination = (here, there) if ours else (there, (here[0], 4444))
    return ConnectionOpened(
        at_s, "conntrack", protocol, ours, *source, *destination,  # type: ignore[arg-type]
        0, 0, is_established,
    )  # fmt: skip


def test_new_content_observes_and_says_what_it_would_do() -> None:
    story = Story(playbooks(KILL))
    story.see(1.0, dropped())
    (order,) = story.orders()
    assert order.mode is Mode.OBSERVE
    assert order.target == ProcessTarget(ProcessKey(10, 100), "/tmp/x", 1.0)
    story.outcome(1.1, order, Outcome(ResponseStatus.OBSERVED, "it would end 2 processes", {}))
    (entry,) = story.entries("response")
    assert (entry["status"], entry["mode"], entry["phase"]) == ("observed", "observe", "outcome")
    assert story.asked(Release) == [Release(order.response_id)]


def test_a_promoted_playbook_is_asked_for_at_the_match_before_any_question_is_answered() -> None:
    story = Story(playbooks(KILL, promoted=(KILL,)))
    asked = story.see(1.0, dropped())
    (order,) = [command.order for command in asked if isinstance(command, Respond)]
    assert (order.mode, order.responder, order.playbook) == (Mode.ENFORCE, "kill", "end-dropper")
    assert order.cause == "dropper"
    assert len(order.response_id) == 16
    assert len(order.incident_id) == 16


def test_the_incident_tells_what_was_done() -> None:
    story = Story(playbooks(KILL, promoted=(KILL,)))
    story.see(1.0, dropped())
    story.outcome(1.1, story.orders()[0], DONE)
    for question in story.asked(Resolve):
        story.tell(Resolved(1.2, WALL, question.ticket, ()))
    incidents = [command.incident for command in story.asked(Append) if command.incident]
    assert incidents[-1].actions == ("kill pid 10 (/tmp/x): done, 2 processes ended",)
    assert incidents[-1].incident_id == story.orders()[0].incident_id


def test_a_changed_playbook_observes_until_it_is_promoted_anew() -> None:
    changed = KILL._replace(rules=("dropper", "key"), digest="f" * 64)
    story = Story(playbooks(changed, promoted=(KILL,)))
    story.see(1.0, dropped())
    assert [order.mode for order in story.orders()] == [Mode.OBSERVE]


def test_where_the_owner_only_observes_nothing_is_enforced_whoever_asks() -> None:
    story = Story(playbooks(KILL, promoted=(KILL,)), Mode.OBSERVE)
    story.see(1.0, dropped())
    assert [order.mode for order in story.orders()] == [Mode.OBSERVE]
    order = story.orders()[0]._replace(response_id="1" * 16, mode=Mode.ENFORCE)
    story.tell(Ordered(2.0, WALL, order))
    assert len(story.orders()) == 1
    assert story.entries("response")[-1]["status"] == "refused"


def test_a_device_without_a_profile_observes() -> None:
    content = playbooks(KILL, promoted=(KILL,))
    story = Story(Playbooks("t", 1, 0, 2**40, content.playbooks, (), content.promoted, "e" * 64))
    story.see(1.0, dropped())
    assert [order.mode for order in story.orders()] == [Mode.OBSERVE]


UNTOUCHABLE: dict[str, tuple[Event, Guarded]] = {
    "a process on the list": (
        dropped(), Guarded(0.5, WALL, frozenset({10}), frozenset(), frozenset(), frozenset()),
    ),
    "the ancestor of a process on the list": (
        dropped(), Guarded(0.5, WALL, frozenset({77}), frozenset(), frozenset(), frozenset()),
    ),
    "a file below a folder on the list": (
        written(1.0),
        Guarded(0.5, WALL, frozenset(), frozenset(), frozenset(), frozenset({"/root/.ssh"})),
    ),
    "an address of a network on the list": (
        connected("198.51.100.9", 1.0),
        Guarded(0.5, WALL, frozenset(), frozenset({"198.51.100.0/24"}), frozenset(), frozenset()),
    ),
    "a loopback address, always": (
        connected("127.0.0.1", 1.0),
        Guarded(0.5, WALL, frozenset(), frozenset(), frozenset(), frozenset()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNTOUCHABLE)
def test_never_touched(what: str) -> None:
    event, guarded = UNTOUCHABLE[what]
    content = (KILL, HIDE, BLOCK)
    story = Story(playbooks(*content, promoted=content))
    story.tell(Seeded(0.1, WALL, (started(10, 1, "/sbin/x", 0.1), started(77, 10, "/b", 0.1)), {}))
    story.tell(guarded)
    story.see(1.0, event)
    assert story.orders() == []
    (entry,) = story.entries("response")
    assert entry["status"] == "refused"
    assert "never" in entry["detail"]


def test_a_peer_is_blocked_only_where_a_tcp_connection_showed_it() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.see(1.0, connected("198.51.100.9", 1.0, protocol="udp"))
    assert story.orders() == []
    story.see(2.0, connected("198.51.100.9", 2.0))
    story.see(3.0, connected("203.0.113.6", 3.0, ours=False))  # by a first packet: anybody's
    story.see(4.0, connected("2001:db8::7", 4.0, ours=False, is_established=True))
    assert [order.target for order in story.orders()] == [
        PeerTarget("198.51.100.9"), PeerTarget("2001:db8::7"),
    ]  # fmt: skip


def test_what_is_in_hand_is_not_asked_for_again() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.see(1.0, *[connected("198.51.100.9", 1.0) for _ in range(1000)])
    assert len(story.orders()) == 1
    story.outcome(1.1, story.orders()[0], DONE)
    story.see(2.0, connected("198.51.100.9", 2.0))
    assert len(story.orders()) == 1


def test_a_file_written_anew_is_taken_again() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    story.outcome(1.1, story.orders()[0], DONE)
    story.see(2.0, written(2.0))
    assert len(story.orders()) == 2


def test_a_response_nobody_confirms_is_undone_when_it_expires() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.outcome(1.5, order, DONE)
    story.tick(601.0)
    assert story.asked(Undo) == []
    story.tick(601.5)
    (undo,) = story.asked(Undo)
    assert undo.response_id == order.response_id
    story.outcome(601.6, order, UNDONE, undo=True)
    assert story.asked(Release) == [Release(order.response_id)]
    assert len(story.agent.defence.active) == 0


def test_a_confirmed_response_lasts() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.outcome(1.5, order, DONE)
    story.tell(Confirmed(100.0, WALL, order.response_id, 0.0, "operator:k1:7"))
    story.tick(1e6)
    assert story.asked(Undo) == []
    assert story.entries("response")[-1]["by"] == "operator:k1:7"
    story.tell(UndoOrdered(1e6, WALL, order.response_id, "operator:k1:8"))
    assert [undo.reason for undo in story.asked(Undo)] == ["asked for by operator:k1:8"]


def test_an_undo_that_comes_before_the_outcome_waits_for_it() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.tell(UndoOrdered(1.1, WALL, order.response_id, "control"))
    assert story.asked(Undo) == []
    story.outcome(1.2, order, DONE)
    assert len(story.asked(Undo)) == 1


def test_an_undo_that_fails_is_tried_again_and_told() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.outcome(1.0, order, DONE)
    at_s = 601.0
    for _ in range(20):
        story.tick(at_s)
        story.outcome(at_s, order, FAILED, undo=True)
        at_s += 60.0
    assert len(story.asked(Undo)) == 6
    assert "vedette:response-stuck" in story.told()


@pytest.mark.thorough
def test_budgets_hold_and_say_so_once() -> None:
    small = KILL._replace(per_hour=10)
    story = Story(playbooks(small, promoted=(small,)))
    for number in range(10_000):
        at_s = 1.0 + number * 0.36
        asked = story.see(at_s, dropped(1000 + number, at_s))
        for command in asked:
            if isinstance(command, Respond):
                story.outcome(at_s, command.order, DONE)
    assert len(story.orders()) == 10
    assert story.told().count("vedette:response-budget") >= 1
    story.see(4000.0, dropped(9, 4000.0))
    assert len(story.orders()) == 11


def test_one_target_has_a_budget_of_its_own() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    for number in range(10):
        story.see(1.0 + number, written(1.0 + number))
        story.outcome(1.5 + number, story.orders()[-1], DONE)
    assert len(story.orders()) == 3


def test_what_held_before_a_restart_expires_by_its_remaining_seconds() -> None:
    story = Story(playbooks())
    order = Order(
        "a" * 16, "block_peer", PeerTarget("192.0.2.1"), Mode.ENFORCE, "peer", "", "cut-peer", 600.0
    )
    story.tell(Resumed(5.0, WALL, (Held(order, 30.0),)))
    story.tick(34.9)
    assert story.asked(Undo) == []
    story.tick(35.0)
    assert [undo.response_id for undo in story.asked(Undo)] == ["a" * 16]


def probed(at_s: float, *, is_up: bool, name: str = "web") -> EssentialProbed:
    return EssentialProbed(at_s, WALL + at_s, name, is_up, "answers" if is_up else "refused")


def test_a_response_that_breaks_an_essential_function_is_undone_at_once_and_demoted() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.tell(probed(1.0, is_up=True))
    story.see(2.0, connected("198.51.100.9", 2.0))
    (order,) = story.orders()
    story.outcome(2.1, order, DONE)
    assert len(story.asked(Probe)) == 1
    story.tell(probed(2.2, is_up=False))
    assert [undo.response_id for undo in story.asked(Undo)] == [order.response_id]
    (promote,) = story.asked(Promote)
    assert (promote.digest, promote.promotion.mode) == (BLOCK.digest, Mode.OBSERVE)
    assert "vedette:response-broke-essential" in story.told()
    story.outcome(2.3, order, UNDONE, undo=True)
    story.see(3.0, connected("198.51.100.10", 3.0))
    assert story.orders()[-1].mode is Mode.OBSERVE


def test_a_function_that_breaks_by_itself_blames_no_response() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.see(1.0, connected("198.51.100.9", 1.0))
    story.outcome(1.1, story.orders()[0], DONE)
    story.tell(probed(100.0, is_up=True))
    story.tell(probed(160.0, is_up=False))
    assert story.asked(Undo) == []
    assert "vedette:essential-down" in story.told()
    story.tell(probed(170.0, is_up=True))
    assert "vedette:essential-up" in story.told()


def test_a_demotion_is_kept_until_a_later_set_is_signed() -> None:
    demoted = {KILL.digest: Promotion(Mode.OBSERVE, 1, "it broke web")}
    story = Story(None)
    story.tell(PlaybooksLoaded(1.0, WALL, playbooks(KILL, promoted=(KILL,)), demoted))
    story.see(2.0, dropped(10, 2.0))
    assert story.orders()[-1].mode is Mode.OBSERVE
    story.outcome(2.1, story.orders()[-1], Outcome(ResponseStatus.OBSERVED, "", {}))
    later = playbooks(KILL, promoted=(KILL,), counter=2)
    story.tell(PlaybooksLoaded(3.0, WALL, later, demoted))
    story.see(4.0, dropped(11, 4.0))
    assert story.orders()[-1].mode is Mode.ENFORCE


def test_an_operator_promotes_by_digest_and_demotes_by_name() -> None:
    story = Story(playbooks(KILL))
    story.tell(ModeOrdered(1.0, WALL, KILL.name, Mode.ENFORCE, "operator:k:1"))
    assert story.asked(Promote) == []
    story.tell(ModeOrdered(1.0, WALL, KILL.digest, Mode.ENFORCE, "operator:k:2"))
    story.see(2.0, dropped(10, 2.0))
    assert story.orders()[-1].mode is Mode.ENFORCE
    story.tell(ModeOrdered(3.0, WALL, KILL.name, Mode.OBSERVE, "operator:k:3"))
    story.see(4.0, dropped(11, 4.0))
    assert story.orders()[-1].mode is Mode.OBSERVE


def test_an_operators_order_is_carried_out_but_never_against_the_list() -> None:
    story = Story(playbooks())
    order = Order("b" * 16, "isolate", DeviceTarget(), Mode.ENFORCE, "operator:k:1", "", "", 600.0)
    story.tell(Ordered(1.0, WALL, order))
    assert story.orders() == [order]
    init = order._replace(
        response_id="c" * 16, responder="kill", target=ProcessTarget(ProcessKey(1, 0), "/init")
    )
    story.tell(Ordered(2.0, WALL, init))
    assert story.orders() == [order]
    assert story.entries("response")[-1]["status"] == "refused"


@pytest.mark.parametrize(
    "target", [FileTarget("relative", ""), FileTarget("/etc/../shadow", ""), PeerTarget("host")]
)
def test_what_is_no_target_is_refused(target: Target) -> None:
    story = Story(playbooks())
    order = Order("d" * 16, "quarantine", target, Mode.ENFORCE, "operator:k:1", "", "", 60.0)
    story.tell(Ordered(1.0, WALL, order))
    assert story.orders() == []


def test_a_replay_asks_for_the_same() -> None:
    story = Story(playbooks(KILL, HIDE, BLOCK, promoted=(KILL, BLOCK)))
    story.tell(Guarded(0.5, WALL, frozenset({1}), frozenset({"::/0"}), frozenset(), frozenset()))
    story.see(1.0, dropped(), written(1.0), connected("198.51.100.9", 1.0))
    for order in story.orders():
        story.outcome(1.5, order, DONE)
    story.tell(probed(1.6, is_up=True))
    story.tick(700.0)
    settings, inputs = decode(bytes(story.recording))
    agent = Agent(settings)
    run: Callable[[Input], list[Command]] = agent.handle
    again = [command for given in inputs for command in run(given)]
    assert [command for command in again if command != Continue()] == story.commands


def test_observing_tells_once_what_enforcing_would_do_once() -> None:
    story = Story(playbooks(HIDE))
    observed = Outcome(ResponseStatus.OBSERVED, "it would be done", {})
    for number in range(10):
        story.see(1.0 + number, written(1.0 + number))
        for order in story.orders()[-1:]:
            story.outcome(1.5 + number, order, observed)
    assert len(story.orders()) == 1
    story.see(602.0, written(602.0))
    assert len(story.orders()) == 2


def test_what_was_observed_is_done_as_soon_as_it_is_promoted() -> None:
    story = Story(playbooks(HIDE))
    story.see(1.0, written(1.0))
    story.outcome(1.5, story.orders()[0], Outcome(ResponseStatus.OBSERVED, "", {}))
    story.tell(ModeOrdered(2.0, WALL, HIDE.digest, Mode.ENFORCE, "operator:k:2"))
    story.see(3.0, written(3.0))
    assert [order.mode for order in story.orders()] == [Mode.OBSERVE, Mode.ENFORCE]


def test_a_function_that_breaks_before_the_outcome_is_told_blames_it_all_the_same() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.tell(probed(1.0, is_up=True))
    story.see(2.0, connected("198.51.100.9", 2.0))
    story.tell(probed(2.1, is_up=False))
    assert story.asked(Undo) == []
    story.outcome(2.2, story.orders()[0], DONE)
    assert len(story.asked(Undo)) == 1


def test_a_response_that_failed_is_blamed_for_nothing() -> None:
    story = Story(playbooks(BLOCK, promoted=(BLOCK,)))
    story.tell(probed(1.0, is_up=True))
    story.see(2.0, connected("198.51.100.9", 2.0))
    story.outcome(2.1, story.orders()[0], FAILED)
    story.tell(probed(2.2, is_up=False))
    assert story.asked(Promote) == []
    assert "vedette:essential-down" in story.told()


def test_what_a_person_undid_is_left_alone_for_an_hour() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.outcome(1.1, order, DONE)
    story.tell(UndoOrdered(2.0, WALL, order.response_id, "control"))
    story.outcome(2.1, order, UNDONE, undo=True)
    story.see(2.2, written(2.2))
    story.see(3000.0, written(3000.0))
    assert len(story.orders()) == 1
    story.see(3700.0, written(3700.0))
    assert len(story.orders()) == 2


def test_the_echo_of_an_undo_is_not_answered_and_what_comes_later_is() -> None:
    story = Story(playbooks(HIDE, promoted=(HIDE,)))
    story.see(1.0, written(1.0))
    (order,) = story.orders()
    story.outcome(1.0, order, DONE)
    story.tick(601.0)
    story.outcome(601.1, order, UNDONE, undo=True)
    story.see(601.2, written(601.2))
    assert len(story.orders()) == 1
    story.see(640.0, written(640.0))
    assert len(story.orders()) == 2
