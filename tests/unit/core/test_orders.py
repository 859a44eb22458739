"""From a command's arguments to what is done: every verb, and every wrong argument."""

from __future__ import annotations

import pytest
from tests.simulators.operators import ALICE, HERE, unsigned

from vedette.core import orders
from vedette.core.orders import Acknowledge, Collect, Decide, Do, Lift, Renew, Wish
from vedette.core.process_table import ProcessTable
from vedette.errors import RequestError
from vedette.model.command import Command, Verb
from vedette.model.event import ProcessForked, ProcessStarted
from vedette.model.playbook import LONGEST_S
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    PeerTarget,
    ProcessTarget,
    Target,
)
from vedette.trust.approval import approve
from vedette.trust.keyfile import key_id

ID = "0123456789abcdef"
DIGEST = "ab" * 32
NOBODY = ProcessTable()


def command(verb: str, **arguments: str) -> Command:
    return approve(unsigned(verb, HERE, arguments=arguments), ALICE, 7)


def read(verb: str, processes: ProcessTable = NOBODY, **arguments: str) -> Wish:
    return orders.read(command(verb, **arguments), processes)


DONE: dict[str, tuple[Wish, str, Target, float, bool]] = {
    "isolated for an hour unless it is said otherwise": (
        read("isolate"), "isolate", DeviceTarget(), 3600.0, False,
    ),
    "isolated until somebody undoes it": (
        read("isolate", lasts="0"), "isolate", DeviceTarget(), float(LONGEST_S), True,
    ),
    "a peer blocked for a minute": (
        read("block", address="192.0.2.7", lasts="60"), "block_peer", PeerTarget("192.0.2.7"), 60.0,
        False,
    ),
    "a peer named by another spelling of its address": (
        read("block", address="2001:DB8:0:0::1"), "block_peer", PeerTarget("2001:db8::1"), 3600.0,
        False,
    ),
    "a process, which nothing brings back": (
        read("kill", process="812/88123"), "kill", ProcessTarget(ProcessKey(812, 88123), ""), 0.0,
        False,
    ),
    "a file moved away until somebody undoes it": (
        read("quarantine", path="/tmp/x", sha256=DIGEST), "quarantine",
        FileTarget("/tmp/x", DIGEST), float(LONGEST_S), True,
    ),
    "a file restored": (
        read("restore", path="/etc/passwd"), "restore_file", FileTarget("/etc/passwd", ""),
        float(LONGEST_S), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "responder", "target", "lasts_s", "is_confirmed"), DONE.values(), ids=DONE.keys()
)
def test_is_ordered(
    wish: Wish, responder: str, target: Target, lasts_s: float, *, is_confirmed: bool
) -> None:
    assert isinstance(wish, Do)
    order = wish.order
    assert (order.responder, order.target, order.lasts_s) == (responder, target, lasts_s)
    assert wish.is_confirmed is is_confirmed
    assert order.mode is Mode.ENFORCE
    assert order.cause == f"operator:{key_id(ALICE.public_key)[:16]}:7"


OTHERS: dict[str, tuple[Wish, Wish]] = {
    "release": (read("release"), Lift("", "isolate", None)),
    "unblock": (
        read("unblock", address="2001:db8::0001"), Lift("", "block_peer", PeerTarget("2001:db8::1"))
    ),
    "undo": (read("undo", response=ID), Lift(ID, "", None)),
    "promote": (read("promote", playbook=DIGEST), Decide(DIGEST, Mode.ENFORCE)),
    "demote by name": (read("demote", playbook="stop-miners"), Decide("stop-miners", Mode.OBSERVE)),
    "acknowledge": (read("acknowledge", incident=ID), Acknowledge(ID, 0)),
    "acknowledge for a day": (
        read("acknowledge", incident=ID, lasts="86400"), Acknowledge(ID, 86400)
    ),
    "collect": (read("collect", incident=ID), Collect(ID)),
    "update": (read("update"), Renew("")),
    "rollback": (read("rollback", kind="firmware"), Renew("firmware")),
}  # fmt: skip


@pytest.mark.parametrize(("wish", "expected"), OTHERS.values(), ids=OTHERS.keys())
def test_is_wished(wish: Wish, expected: Wish) -> None:
    assert wish == expected


def test_every_verb_is_known_and_says_what_it_misses() -> None:
    assert set(orders.ARGUMENTS) == set(Verb)
    for verb in set(Verb) - {Verb.ISOLATE, Verb.RELEASE, Verb.UPDATE}:
        with pytest.raises(RequestError, match=f"^{verb}: expected .*, got none"):
            read(verb)


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "an argument that is not there": ("block", {}, "as address, got none"),
    "one that the verb does not take": ("release", {"address": "::1"}, "it takes none"),
    "a name for an address": ("block", {"address": "c2.example"}, "an IPv4 or IPv6 address"),
    "a network for an address": ("block", {"address": "192.0.2.0/24"}, "an IPv4 or IPv6 address"),
    "an address with a zone": ("block", {"address": "fe80::1%eth0"}, "an IPv4 or IPv6 address"),
    "a pid without its start": ("kill", {"process": "812"}, "PID/START"),
    "pid 0": ("kill", {"process": "0/1"}, "PID/START"),
    "a kind of release that nothing is kept of": (
        "rollback", {"kind": "trust"}, "rules, firmware or model",
    ),
    "a pid beyond all pids": ("kill", {"process": "9999999/1"}, "PID/START"),
    "a relative path": ("quarantine", {"path": "tmp/x"}, "an absolute path"),
    "a path that climbs": ("quarantine", {"path": "/tmp/../etc/passwd"}, "an absolute path"),
    "the root folder": ("quarantine", {"path": "/"}, "an absolute path"),
    "half a digest": ("quarantine", {"path": "/x", "sha256": "ab"}, "a SHA-256"),
    "a duration of a month and a second": (
        "isolate", {"lasts": str(LONGEST_S + 1)}, "seconds up to",
    ),
    "a negative duration": ("isolate", {"lasts": "-1"}, "seconds up to"),
    "a duration in other digits": ("isolate", {"lasts": "٣"}, "seconds up to"),
    "a playbook promoted by its name": ("promote", {"playbook": "stop-miners"}, "digest"),
    "an incident in capitals": ("collect", {"incident": ID.upper()}, "an incident's id"),
    "a response that is a path": ("undo", {"response": "../../../../etc"}, "a response's id"),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "arguments", "words"), WRONG.values(), ids=WRONG.keys())
def test_is_refused(verb: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        orders.read(command(verb, **arguments), NOBODY)


def test_an_unknown_verb_is_refused() -> None:
    with pytest.raises(RequestError, match='got "reflash"'):
        read("reflash")


def started(pid: int, ppid: int, start_ticks: int) -> ProcessStarted:
    return ProcessStarted(
        1.0, "ebpf", pid, ppid, start_ticks, f"/bin/p{pid}", "p", "p", True, 0, 0, "/", "", 0, 0
    )


def test_a_process_is_named_with_its_kin_if_it_still_is_the_one() -> None:
    table = ProcessTable()
    table.start(started(812, 1, 100))
    table.fork(ProcessForked(1.1, "ebpf", 813, 812, 101))
    wish = read("kill", table, process="812/100")
    assert isinstance(wish, Do)
    target = wish.order.target
    assert target == ProcessTarget(ProcessKey(812, 100), "/bin/p812", 0.0, (ProcessKey(813, 101),))
    other = read("kill", table, process="812/99")
    assert isinstance(other, Do)
    assert other.order.target == ProcessTarget(ProcessKey(812, 99), "")


def test_two_commands_are_two_responses_and_one_is_one() -> None:
    first, again, other = read("isolate"), read("isolate"), read("isolate", lasts="5")
    assert isinstance(first, Do)
    assert isinstance(again, Do)
    assert isinstance(other, Do)
    assert first.order.response_id == again.order.response_id != other.order.response_id


def test_what_is_lifted_is_what_is_in_force_of_its_kind() -> None:
    held = [
        wish.order._replace(response_id=name)
        for name, wish in {
            "a": read("isolate"), "b": read("block", address="192.0.2.7"),
            "c": read("block", address="192.0.2.8"),
        }.items()
        if isinstance(wish, Do)
    ]  # fmt: skip
    assert orders.lifted(Lift("", "isolate", None), held) == ["a"]
    assert orders.lifted(Lift("", "block_peer", PeerTarget("192.0.2.8")), held) == ["c"]
    assert orders.lifted(Lift("", "block_peer", PeerTarget("192.0.2.9")), held) == []
    assert orders.lifted(Lift(ID, "", None), held) == [ID]


def test_only_an_incident_in_the_right_form_is_named_in_the_journal() -> None:
    assert orders.incident_of(command("isolate", incident=ID)) == ID
    assert orders.incident_of(command("isolate", incident="x" * 4000)) == ""
    assert orders.incident_of(None) == ""
