"""Release policies: one text, every demand can be met, and none is passed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import release_policy as codec
from vedette.codec.strict_json import canonical, parse
from vedette.errors import ParseError
from vedette.model.provenance import (
    Authorship,
    PolicyRule,
    ReleasePolicy,
    Signer,
    StatementKind,
)
from vedette.model.release import ReleaseKind

POLICY = ReleasePolicy(
    name="acme",
    counter=3,
    issued_s=10,
    expires_s=20,
    signers=(
        Signer("ci", b"\x01" * 32, is_person=False),
        Signer("alice", b"\x02" * 32, is_person=True),
        Signer("bob", b"\x03" * 32, is_person=True),
    ),
    rules=(
        PolicyRule(
            1, (ReleaseKind.FIRMWARE,), ("cam",), (), StatementKind.BUILD, ("ci",), 1,
            ("https://ci.example/cam",), (), "only our CI",
        ),
        PolicyRule(
            2, (), (), (Authorship.AI_GENERATED, Authorship.UNKNOWN), StatementKind.APPROVAL,
            ("alice", "bob"), 2, (), (), "",
        ),
        PolicyRule(
            9, (), (), (), StatementKind.AUTHORSHIP, ("alice",), 1, (), (Authorship.HUMAN,), "",
        ),
    ),
    digest="",
)  # fmt: skip


def test_what_was_written_is_read_with_its_digest() -> None:
    found = codec.decode(codec.encode(POLICY))
    assert replace(found, digest="") == POLICY
    assert len(found.digest) == 64


def rule(place: int, /, **more: Any) -> Callable[[Any], object]:
    return lambda value: value["rules"][place].update(more)


CHANGES: dict[str, Callable[[Any], object]] = {
    "a name more": lambda value: value.update(x=1),
    "a name less": lambda value: value.pop("signers"),
    "another format": lambda value: value.update(format=2),
    "a counter of 0": lambda value: value.update(counter=0),
    "expired when issued": lambda value: value.update(expires=10),
    "no rules": lambda value: value.update(rules=[]),
    "rules in disorder": lambda value: value["rules"].reverse(),
    "a number twice": rule(1, number=1),
    "a number of 0": rule(0, number=0),
    "a rule with a word more": rule(0, optional=True),
    "an unknown kind": rule(0, kinds=["bootloader"]),
    "kinds in disorder": rule(0, kinds=["rules", "firmware"]),
    "an unknown demand": rule(0, demand="hope"),
    "a demand that cannot be judged": rule(0, demand="other", builders=[]),
    "a demand for nobody's word": rule(0, signers=[]),
    "more words than there are signers": rule(1, least=3),
    "no word at all": rule(1, least=0),
    "a signer who is not there": rule(0, signers=["eve"]),
    "an approval by a machine": rule(1, signers=["alice", "ci"]),
    "builders of an approval": rule(1, builders=["https://x"]),
    "a builder that is no URI": rule(0, builders=["ci"]),
    "authorship that is not asked for": rule(0, allowed=["human"]),
    "any authorship": rule(2, allowed=[]),
    "an unknown authorship": rule(1, **{"if-authorship": ["robot"]}),
    "a reason that deceives": rule(0, reason="a\u202eb"),
    "a key of 63 digits": lambda value: value["signers"][0].update(key="0" * 63),
    "a key twice": lambda value: value["signers"][0].update(key="02" * 32),
    "a name twice": lambda value: value["signers"][0].update(name="bob"),
    "a person by number": lambda value: value["signers"][0].update(person=0),
    "65 signers": lambda value: value.update(signers=value["signers"] * 22),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_odd_is_refused(change: Callable[[Any], object]) -> None:
    value: Any = parse(codec.encode(POLICY), max_bytes=codec.MAX_BYTES)
    change(value)
    with pytest.raises(ParseError, match="expected"):
        codec.decode(canonical(value))


def test_only_the_canonical_bytes_are_read() -> None:
    data = codec.encode(POLICY)
    for wrong in (data + b"\n", b" " + data, data[:-1], b"", data.replace(b",", b", ", 1)):
        with pytest.raises(ParseError, match="expected"):
            codec.decode(wrong)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        codec.decode(data)


@given(st.integers(0), st.binary(min_size=1, max_size=3))
def test_any_damage_gives_a_policy_or_an_error(place: int, patch: bytes) -> None:
    data = bytearray(codec.encode(POLICY))
    start = place % len(data)
    data[start : start + len(patch)] = patch
    try:
        found = codec.decode(bytes(data))
    except ParseError:
        return
    assert codec.encode(found) == data
