"""A learning run on the disk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.codec.test_profile import LEARNT

from vedette.codec.learning_run import MAX_BOOTS, decode, encode
from vedette.codec.strict_json import canonical
from vedette.errors import ParseError
from vedette.model.profile import LearningRun

RUN = LearningRun(
    "learning", "cam-1", "camera", "os 1", 5, 3600, 60, ("0" * 32, "1" * 32), 2, False, LEARNT
)  # fmt: skip


def test_it_comes_back_whole() -> None:
    assert decode(encode(RUN)) == RUN
    assert encode(decode(encode(RUN))) == encode(RUN)


def test_of_many_starts_the_first_and_the_newest_are_kept() -> None:
    boots = tuple(f"{number:032x}" for number in range(200))
    kept = decode(encode(RUN._replace(boots=boots))).boots
    assert len(kept) == MAX_BOOTS
    assert (kept[0], kept[-1]) == (boots[0], boots[-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"state": "asleep"}, {"written": 1}, {"boots": ["x"]}, {"boots": "0" * 32},
        {"boots": ["0" * 32] * (MAX_BOOTS + 1)}, {"elapsed": -1}, {"elapsed": 1.5},
        {"programs": []}, {"left-out": {"x": 1}}, {"device": "\u202e"}, {"class": None},
    ],
)  # fmt: skip
def test_what_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        decode(canonical({**json.loads(encode(RUN)), **changes}))


@given(st.binary(max_size=300) | st.integers(0, len(encode(RUN)) - 1))
def test_any_bytes_give_a_run_or_a_parse_error(data: bytes | int) -> None:
    given_bytes = encode(RUN)[:data] if isinstance(data, int) else data
    with pytest.raises(ParseError):
        decode(given_bytes)
