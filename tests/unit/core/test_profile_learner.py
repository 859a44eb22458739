"""What is learnt, folded and left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.profile import decode_draft, encode_draft
from vedette.core.profile_learner import FOLD_PEERS, FOLD_PORTS, Learner
from vedette.model.profile import (
    MAX_DIGESTS,
    MAX_LISTENERS,
    MAX_PAIRS,
    MAX_PEERS_EACH,
    MAX_PROGRAMS,
    MAX_TEXT,
    Learnt,
    LeftOut,
    Listener,
    Origin,
    Pair,
    Peer,
    Profile,
    Program,
)


def test_everything_once_sorted_and_the_same_after_a_restart() -> None:
    learner = Learner(Learnt())
    for _ in range(2):
        assert learner.program("/b")
        assert learner.program("/a")
        assert learner.digest("/a", "cd" * 32)
        assert learner.digest("/a", "ab" * 32)
        assert learner.pair("/a", "/b")
        assert learner.listener("/a", "tcp", 80)
        assert learner.peer("/a", "udp", "0.pool.ntp.org", 123)
    learnt = learner.learnt()
    assert learnt == Learnt(
        (Program("/a", ("ab" * 32, "cd" * 32)), Program("/b", ())),
        (Pair("/a", "/b"),),
        (Listener("/a", "tcp", 80),),
        (Peer("/a", "udp", "0.pool.ntp.org", 123),),
    )
    again = Learner(learnt)
    assert again.learnt() == learnt
    assert again.program("/a")
    assert again.revision == 0, "what is known is nothing new to keep"
    assert again.digest("/nobody", "ab" * 32) is not True or again.learnt() == learnt


def test_neighbours_become_a_network_and_many_ports_any_port() -> None:
    learner = Learner(Learnt())
    for last in range(FOLD_PEERS - 1):
        learner.peer("/app", "tcp", f"10.0.0.{last}", 443)
    assert len(learner.learnt().peers) == FOLD_PEERS - 1
    learner.peer("/app", "tcp", "10.0.0.200", 443)
    learner.peer("/app", "tcp", "10.0.0.201", 443)
    learner.peer("/app", "tcp", "10.0.1.1", 443)
    for port in range(20_000, 20_000 + FOLD_PEERS + 3):
        learner.peer("/app", "udp", "stun.example.com", port)
    assert learner.learnt().peers == (
        Peer("/app", "tcp", "10.0.0.0/24", 443),
        Peer("/app", "tcp", "10.0.1.1", 443),
        Peer("/app", "udp", "stun.example.com", 0),
    )


def test_ephemeral_ports_of_one_program_become_any_of_them_and_low_ones_never() -> None:
    learner = Learner(Learnt())
    for number in range(FOLD_PORTS + 2):
        learner.listener("/dns", "udp", 40_000 + number)
        learner.listener("/dns", "tcp", 100 + number)
    found = learner.learnt().listeners
    assert Listener("/dns", "udp", 0) in found
    assert len([one for one in found if one.protocol == "tcp"]) == FOLD_PORTS + 2
    assert len(found) == FOLD_PORTS + 3


def test_a_peer_of_an_unknown_program_is_left_to_the_program_that_has_it() -> None:
    learner = Learner(Learnt())
    learner.peer("", "udp", "1.1.1.1", 53)
    learner.peer("", "udp", "9.9.9.9", 53)
    learner.peer("/dns", "udp", "1.1.1.1", 53)
    assert learner.learnt().peers == (
        Peer("", "udp", "9.9.9.9", 53),
        Peer("/dns", "udp", "1.1.1.1", 53),
    )


def test_every_list_has_an_end_and_what_is_beyond_is_counted() -> None:
    learner = Learner(Learnt())
    programs = [learner.program(f"/p{number}") for number in range(MAX_PROGRAMS + 2)]
    pairs = [learner.pair(f"/p{number}", "/c") for number in range(MAX_PAIRS + 3)]
    ports = [learner.listener(f"/p{number}", "tcp", 1) for number in range(MAX_LISTENERS + 4)]
    peers = [
        learner.peer("/scan", "tcp", f"10.{number // 256}.{number % 256}.1", 23)
        for number in range(MAX_PEERS_EACH + 5)
    ]
    digests = [learner.digest("/p0", f"{number:064x}") for number in range(MAX_DIGESTS + 1)]
    for answers, beyond in ((programs, 2), (pairs, 3), (ports, 4), (peers, 5), (digests, 1)):
        assert answers.count(False) == beyond
        assert answers[:-beyond] == [True] * (len(answers) - beyond)
    assert learner.left_out == LeftOut(programs=3, pairs=3, listeners=4, peers=5)
    assert learner.learnt().left_out == learner.left_out
    assert learner.peer("/other", "tcp", "10.0.0.1", 23), "one that scans leaves room to others"


@pytest.mark.parametrize(
    "name", ["/tmp/\x1b[2J", "/bin/\udcff", "/bin/\u202egpj.exe", "/" + "a" * MAX_TEXT, "*", ""]
)
def test_a_name_that_nobody_can_review_is_not_learnt(name: str) -> None:
    learner = Learner(Learnt())
    assert not learner.program(name)
    assert not learner.pair("/a", name)
    assert not learner.peer("/a", "tcp", name, 1)
    assert learner.learnt() == Learnt(left_out=LeftOut(names=3))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["program", "pair", "listener", "peer"]),
            st.text(max_size=8),
            st.text(max_size=8),
            st.integers(0, 65_535),
        ),
        max_size=40,
    )
)
def test_whatever_was_seen_the_draft_can_be_read_again(
    seen: list[tuple[str, str, str, int]],
) -> None:
    learner = Learner(Learnt())
    for kind, first, second, port in seen:
        match kind:
            case "program":
                learner.program(first)
            case "pair":
                learner.pair(first, second)
            case "listener":
                learner.listener(first, "tcp", port or 1)
            case _:
                learner.peer(first, "udp", second, port)
    learnt = learner.learnt()
    draft = Profile("", 0, 0, 0, "camera", "os 1", Origin("d", 1, 2, 3, 4), learnt, "")
    assert decode_draft(encode_draft(draft)) == draft
