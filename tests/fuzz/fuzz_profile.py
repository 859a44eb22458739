"""Fuzz target: the payload of a profile, the draft of one, and the judge behind them."""

from __future__ import annotations

from vedette.codec import profile as codec
from vedette.core.profile_judge import Judge
from vedette.errors import ParseError
from vedette.model.profile import Learnt, Listener, Origin, Pair, Peer, Profile, Program

_LEARNT = Learnt(
    (Program("/app", ("ab" * 32,)), Program("/tmp/{random}", ())),
    (Pair("/init", "/app"),),
    (Listener("", "udp", 68), Listener("/app", "tcp", 80), Listener("/app", "udp", 0)),
    (Peer("/app", "tcp", "*.cloud.example", 443), Peer("", "udp", "10.0.0.0/24", 0)),
)
_SIGNED = Profile("cam", 7, 10, 20, "camera", "os 1", Origin("d", 5, 3600, 1, 2), _LEARNT, "")

SEEDS = (codec.encode(_SIGNED), codec.encode_draft(_SIGNED))


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a profile with one text that knows all its entries."""
    try:
        profile = codec.decode(data)
    except ParseError:
        try:
            profile = codec.decode_draft(data)
        except ParseError:
            return
        assert codec.decode_draft(codec.encode_draft(profile)) == profile
    else:
        assert codec.encode(profile) == data
    judge = Judge(profile)
    learnt = profile.learnt
    assert all(judge.program(one.path) for one in learnt.programs)
    assert all(judge.pair(one.parent, one.child) for one in learnt.pairs)
    assert all(judge.listener(one.program, one.protocol, one.port) for one in learnt.listeners)
    assert all(judge.peer(*one) for one in learnt.peers)
