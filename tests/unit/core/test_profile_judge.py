"""What is in a profile, asked the way the agent asks."""

from __future__ import annotations

import time

import pytest

from vedette.core.profile_judge import Judge
from vedette.model.profile import (
    Learnt,
    Listener,
    Origin,
    Pair,
    Peer,
    Profile,
    Program,
)

LEARNT = Learnt(
    (Program("/app", ("ab" * 32,)), Program("/init", ())),
    (Pair("/init", "/app"),),
    (
        Listener("", "udp", 68),
        Listener("/app", "tcp", 80),
        Listener("/app", "udp", 0),
    ),
    (
        Peer("", "udp", "9.9.9.9", 53),
        Peer("/app", "tcp", "*.cloud.example", 443),
        Peer("/app", "tcp", "10.0.0.0/24", 443),
        Peer("/app", "tcp", "2001:db8:0:0::/64", 443),
        Peer("/app", "udp", "stun.example", 0),
        Peer("/ntp", "udp", "0.pool.ntp.org", 123),
    ),
)


def judge() -> Judge:
    return Judge(Profile("p", 1, 1, 2, "c", "f", Origin("d", 1, 1, 1, 0), LEARNT, ""))


PEERS = [
    (("/app", "tcp", "a.cloud.example", 443), True),
    (("/app", "tcp", "a.b.cloud.example", 443), True),
    (("/app", "tcp", "cloud.example", 443), False),
    (("/app", "tcp", "evilcloud.example", 443), False),
    (("/app", "tcp", "a.cloud.example", 8443), False),
    (("/app", "tcp", "10.0.0.77", 443), True),
    (("/app", "tcp", "10.0.1.77", 443), False),
    (("/app", "udp", "10.0.0.77", 443), False),
    (("/app", "tcp", "2001:db8::5", 443), True),
    (("/app", "tcp", "2001:db8:0:1::5", 443), False),
    (("/app", "udp", "stun.example", 3478), True),
    (("/app", "tcp", "stun.example", 3478), False),
    (("/other", "tcp", "a.cloud.example", 443), False),
    (("/other", "udp", "9.9.9.9", 53), True),
    (("", "udp", "0.pool.ntp.org", 123), True),
    (("", "tcp", "10.0.0.5", 443), True),
    (("", "tcp", "10.0.0.5", 80), False),
]


@pytest.mark.parametrize(("asked", "is_known"), PEERS)
def test_peers(asked: tuple[str, str, str, int], *, is_known: bool) -> None:
    asking = judge()
    assert [asking.peer(*asked) for _ in range(2)] == [is_known, is_known], "and as remembered"


LISTENERS = [
    (("/app", "tcp", 80), True),
    (("/app", "tcp", 81), False),
    (("/app", "udp", 50_000), True),
    (("/app", "udp", 1_024), False),
    (("/app", "tcp", 50_000), False),
    (("/other", "tcp", 80), False),
    (("/other", "udp", 68), True),
    (("", "tcp", 80), True),
    (("", "udp", 40_000), True),
    (("", "tcp", 22), False),
]


@pytest.mark.parametrize(("asked", "is_known"), LISTENERS)
def test_listeners(asked: tuple[str, str, int], *, is_known: bool) -> None:
    assert judge().listener(*asked) is is_known


def test_programs_and_pairs() -> None:
    asking = judge()
    assert asking.program("/app")
    assert not asking.program("/APP")
    assert asking.digests("/app") == {"ab" * 32}
    assert not asking.digests("/init") | asking.digests("/nobody")
    assert asking.pair("/init", "/app")
    assert not asking.pair("/app", "/init")
    assert asking.is_service("/app")
    assert not asking.is_service("/init")


def test_what_is_in_the_profile_costs_look_ups_only() -> None:
    """Well below a microsecond each; the bound leaves room for a busy machine."""
    asking = judge()
    rounds = 20_000
    best_s = min(_asked(asking, rounds) for _ in range(5))
    assert best_s / rounds < 5e-6


def _asked(asking: Judge, rounds: int) -> float:
    began_s = time.perf_counter()
    for _ in range(rounds):
        asking.program("/app")
        asking.pair("/init", "/app")
    return time.perf_counter() - began_s
