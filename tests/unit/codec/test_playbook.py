"""Signed playbooks: one set, one text; whatever else there is is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import playbook as codec
from vedette.codec import promotions
from vedette.codec.strict_json import canonical, parse
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.playbook import DeviceProfile, Limit, Playbook, Playbooks, Promotion, Step
from vedette.model.response import Mode


def playbook(name: str = "end-miner", **more: Any) -> Playbook:
    made = Playbook(
        name, "End what mines", ("a1b2",), ("attack.t1496",), Severity.HIGH,
        (Step("kill", "process", 0), Step("stop_unit", "unit", 60, "x.service"),
         Step("rollback_model", "model", 60, "person")), 60, 3, "",
    )._replace(**more)  # fmt: skip
    return made._replace(digest=codec.digest_of(made))


def playbooks(**more: Any) -> Playbooks:
    profile = DeviceProfile("home", ("", "camera"), {"kill": Limit(Mode.ENFORCE, 60, 0)})
    one = playbook()
    return replace(
        Playbooks("set", 7, 10, 20, (one, playbook("b")), (profile,), (one.digest,), ""), **more
    )


def test_what_was_written_is_read_with_its_digests() -> None:
    wanted = playbooks()
    found = codec.decode(codec.encode(wanted))
    assert replace(found, digest="") == wanted
    assert len(found.digest) == 64


def test_any_change_of_a_playbook_changes_its_digest() -> None:
    one = playbook()
    changes: list[dict[str, Any]] = [
        {"title": "x"}, {"rules": ("a",)}, {"tags": ()}, {"severity": Severity.LOW},
        {"steps": one.steps[:1]}, {"per_hour": 61}, {"per_target": 4}, {"name": "other"},
    ]  # fmt: skip
    digests = {playbook(**({"name": "end-miner"} | change)).digest for change in changes}
    assert len(digests | {one.digest}) == len(changes) + 1


WRONG: dict[str, dict[str, Any]] = {
    "a counter of 0": {"counter": 0},
    "expired when issued": {"expires_s": 10},
    "two of one name": {"playbooks": (playbook(), playbook(title="x")), "promoted": ()},
    "a promotion of nothing": {"promoted": ("ab" * 32,)},
    "no step": {"playbooks": (playbook(steps=()),), "promoted": ()},
    "nothing to answer": {"playbooks": (playbook(rules=(), tags=()),), "promoted": ()},
    "a unit where none is meant": {
        "playbooks": (playbook(steps=(Step("kill", "process", 0, "x.service"),)),), "promoted": (),
    },
    "no unit where one is meant": {
        "playbooks": (playbook(steps=(Step("stop_unit", "unit", 60),)),), "promoted": (),
    },
    "no model where one is meant": {
        "playbooks": (playbook(steps=(Step("rollback_model", "model", 60),)),), "promoted": (),
    },
    "a unit where a model is meant": {
        "playbooks": (playbook(steps=(Step("rollback_model", "model", 6, "x.service"),)),),
        "promoted": (),
    },
    "a unit with a path": {
        "playbooks": (playbook(steps=(Step("stop_unit", "unit", 6, "../x.service"),)),),
        "promoted": (),
    },
    "a response of a century": {
        "playbooks": (playbook(steps=(Step("freeze", "process", 2**40),)),), "promoted": (),
    },
    "a class of two profiles": {
        "profiles": (DeviceProfile("a", ("x",), {}), DeviceProfile("b", ("x",), {})),
    },
    "a title with a control character": {"playbooks": (playbook(title="\x1b[2J"),), "promoted": ()},
    "one rule twice": {"playbooks": (playbook(rules=("a", "a")),), "promoted": ()},
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_no_device_should_read_is_not_signed(what: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        codec.encode(playbooks(**WRONG[what]))


def test_only_the_canonical_text_is_read() -> None:
    with pytest.raises(ParseError, match="canonical"):
        codec.decode(codec.encode(playbooks()) + b"\n")


def test_names_nobody_knows_are_refused() -> None:
    value = parse(codec.encode(playbooks()), max_bytes=1 << 20)
    assert isinstance(value, dict)
    with pytest.raises(ParseError, match="the playbooks with"):
        codec.decode(canonical({**value, "more": 1}))


@given(st.binary(max_size=300))
def test_any_bytes_are_playbooks_or_none(data: bytes) -> None:
    with pytest.raises(ParseError):
        codec.decode(data)


@given(st.integers(0, len(codec.encode(playbooks())) - 1), st.integers(1, 255))
def test_an_altered_byte_is_read_as_itself_or_refused(position: int, change: int) -> None:
    data = bytearray(codec.encode(playbooks()))
    data[position] ^= change
    try:
        found = codec.decode(bytes(data))
    except ParseError:
        return
    assert codec.encode(found) == bytes(data)


DECIDED = {
    "ab" * 32: Promotion(Mode.ENFORCE, 7, "asked for by operator:k:1"),
    "cd" * 32: Promotion(Mode.OBSERVE, 8, "a response of it broke web \x1b[2J"),
}


def test_decisions_are_read_as_they_were_written() -> None:
    found, problems = promotions.decode(promotions.encode(DECIDED))
    assert problems == []
    assert found["ab" * 32] == DECIDED["ab" * 32]
    assert found["cd" * 32].mode is Mode.OBSERVE
    assert "\x1b" not in found["cd" * 32].reason


def test_a_damaged_decision_is_told_and_the_others_are_read() -> None:
    texts = ("nonsense", *promotions.encode(DECIDED), f"{'ab' * 32} always 7 x")
    found, problems = promotions.decode(texts)
    assert found.keys() == DECIDED.keys()
    assert len(problems) == 2


def test_the_newest_decisions_are_kept() -> None:
    many = {f"{n:064x}": Promotion(Mode.OBSERVE, n, "") for n in range(100)}
    found, _ = promotions.decode(promotions.encode(many))
    assert [one.counter for one in found.values()] == [*range(36, 100)]
