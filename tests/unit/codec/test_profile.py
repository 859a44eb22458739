"""Profiles as text: one text for one profile, and a reason for everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.profile import decode, decode_draft, encode, encode_draft
from vedette.codec.strict_json import canonical
from vedette.errors import ParseError
from vedette.model.profile import (
    MAX_DIGESTS,
    MAX_PROGRAMS,
    Learnt,
    LeftOut,
    Listener,
    Origin,
    Pair,
    Peer,
    Profile,
    Program,
)

LEARNT = Learnt(
    (Program("/app", ("ab" * 32, "cd" * 32)), Program("/init", ())),
    (Pair("/init", "/app"),),
    (Listener("", "udp", 68), Listener("/app", "tcp", 80), Listener("/app", "udp", 0)),
    (Peer("", "udp", "9.9.9.9", 53), Peer("/app", "tcp", "*.cloud.example", 443),
     Peer("/app", "tcp", "10.0.0.0/24", 0), Peer("/app", "tcp", "fe80:0:0:0::/64", 1)),
    LeftOut(peers=3),
)  # fmt: skip
SIGNED = Profile("cam", 7, 10, 20, "camera", "os 1", Origin("cam-1", 5, 3600, 1, 2), LEARNT, "")


def draft_of(profile: Profile) -> Profile:
    return Profile(
        "", 0, 0, 0, profile.device_class, profile.firmware, profile.origin, profile.learnt, ""
    )


def test_a_signed_profile_comes_back_whole_and_names_its_bytes() -> None:
    data = encode(SIGNED)
    read = decode(data)
    assert len(read.digest) == 64
    assert (read.learnt, read.origin, read.counter) == (SIGNED.learnt, SIGNED.origin, 7)
    assert encode(read) == data


def test_a_draft_is_one_entry_a_line_and_may_be_edited() -> None:
    draft = draft_of(SIGNED)
    text = encode_draft(draft)
    assert b'\n   "tcp 443 *.cloud.example"' in text
    assert decode_draft(text) == draft
    document = json.loads(text)
    document["peers"]["/app"].insert(0, "udp 123 time.example")
    edited = decode_draft(json.dumps(document).encode())
    assert Peer("/app", "udp", "time.example", 123) in edited.learnt.peers
    assert encode_draft(edited) == encode_draft(decode_draft(encode_draft(edited)))


def _with(**changes: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        return canonical({**json.loads(encode(SIGNED)), **changes})

    return make


def _without(name: str) -> bytes:
    document = json.loads(encode(SIGNED))
    del document[name]
    return canonical(document)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "not canonical": (lambda: encode_draft(SIGNED), "canonical"),
    "a name too many": (_with(more=1), 'unknown: "more"'),
    "a name too few": (lambda: _without("pairs"), "missing: pairs"),
    "counter 0": (_with(counter=0), "counter from 1"),
    "expired before it was issued": (_with(expires=10), "expire after"),
    "another format": (_with(format=2), "newer vedette"),
    "a truth for a number": (_with(counter=True), "whole number"),
    "no digest": (_with(programs={"/app": ["xyz"]}), "SHA-256"),
    "too many digests": (
        _with(programs={"/app": [f"{n:064x}" for n in range(MAX_DIGESTS + 1)]}), "at most 8 digests"
    ),
    "too many programs": (
        _with(programs={f"/p{n}": [] for n in range(MAX_PROGRAMS + 1)}), "at most 1024 programs"
    ),
    "repeated entries": (_with(pairs={"/a": ["/b", "/b"]}), "each of them once"),
    "unsorted entries": (_with(pairs={"/a": ["/c", "/b"]}), "sorted"),
    "any parent": (_with(pairs={"*": ["/b"]}), "starts others"),
    "a hidden character": (_with(programs={"/bin/\u202egpj": []}), "visible"),
    "port 0": (_with(listeners={"/a": ["tcp 0"]}), "port from 1"),
    "port 70000": (_with(listeners={"/a": ["tcp 70000"]}), "port from 1"),
    "a leading zero": (_with(listeners={"/a": ["tcp 080"]}), 'such as "tcp 80"'),
    "a wide network": (_with(peers={"/a": ["tcp 1 10.0.0.0/8"]}), "a network is written"),
    "an address as a network": (_with(peers={"/a": ["tcp 1 10.0.0.5/24"]}), "a network"),
    "a wildcard in the middle": (_with(peers={"/a": ["tcp 1 a.*.b"]}), "peers: expected"),
    "everything": (_with(peers={"/a": ["tcp 1 *"]}), "peers: expected"),
    "a list for an object": (_with(peers=[]), "a JSON object"),
    "text for a list": (_with(peers={"/a": "tcp 1 b"}), "to be a list"),
    "other trust": (_with(learnt={**json.loads(encode(SIGNED))["learnt"], "trust": "x"}), "trust"),
    "an unknown count": (
        _with(learnt={**json.loads(encode(SIGNED))["learnt"], "left-out": {"x": 1}}), "left-out"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_profile_is_refused_with_the_reason(
    make: Callable[[], bytes], reason: str
) -> None:
    with pytest.raises(ParseError, match=reason):
        decode(make())


def test_a_profile_in_part_is_none() -> None:
    data = encode(SIGNED)
    for end in range(0, len(data), 7):
        with pytest.raises(ParseError):
            decode(data[:end])
    with pytest.raises(ParseError):
        decode(data + b" ")


def test_a_signed_profile_is_no_draft_and_a_draft_is_not_signed() -> None:
    with pytest.raises(ParseError, match="unknown"):
        decode_draft(encode(SIGNED))
    with pytest.raises(ParseError, match="missing"):
        decode(canonical(json.loads(encode_draft(SIGNED))))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_profile_or_a_parse_error(data: bytes) -> None:
    for read in (decode, decode_draft):
        try:
            read(data)
        except ParseError:
            continue
