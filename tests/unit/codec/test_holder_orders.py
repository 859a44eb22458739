"""Lists on their way to the holder: whole or not at all, whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.holder_orders import (
    ASK,
    COMMIT,
    MESSAGE_BYTES,
    Draft,
    encode_lists,
    encode_question,
)
from vedette.errors import ParseError
from vedette.model.denial import DENY_UNKNOWN, Lists

ENTRIES = st.frozensets(
    st.tuples(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32)), max_size=5
)
NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
PATHS = st.frozensets(NAMES.map(lambda name: f"/{name}"), max_size=5)
LISTS = st.builds(
    Lists,
    unknown=st.integers(0, 2),
    allowed=ENTRIES, allowed_paths=PATHS, denied=ENTRIES, denied_paths=PATHS, essential=PATHS,
    watched=PATHS,
)  # fmt: skip


def taken(messages: list[bytes], draft: Draft | None = None) -> tuple[Draft, list[tuple[int, int]]]:
    draft = draft or Draft()
    return draft, [found for message in messages if (found := draft.take(message)) != (0, 0)]


@given(LISTS, st.integers(0, 2**32 - 1))
def test_lists_come_back_as_they_were(lists: Lists, generation: int) -> None:
    messages = encode_lists(lists, generation)
    assert all(0 < len(message) <= MESSAGE_BYTES for message in messages)
    draft, heads = taken(messages)
    assert draft.lists == lists
    assert heads == [(COMMIT, generation)]


def test_long_lists_go_in_several_messages() -> None:
    lists = Lists(
        denied=frozenset((number, bytes(32)) for number in range(5000)),
        essential=frozenset(f"/{'x' * 4000}/{number}" for number in range(50)),
    )
    messages = encode_lists(lists, 1)
    assert max(map(len, messages)) <= MESSAGE_BYTES
    assert taken(messages)[0].lists == lists


def test_half_of_the_lists_never_counts() -> None:
    old = Lists(denied_paths=frozenset({"/old"}))
    new = encode_lists(Lists(unknown=DENY_UNKNOWN, denied_paths=frozenset({"/new"})), 2)
    draft, _ = taken([*encode_lists(old, 1), *new[:-1]])
    assert draft.lists == old


def test_what_was_begun_before_a_new_beginning_is_forgotten() -> None:
    lost = encode_lists(Lists(denied_paths=frozenset({"/lost"})), 1)[:-1]
    lists = Lists(denied_paths=frozenset({"/kept"}))
    assert taken([*lost, *encode_lists(lists, 2)])[0].lists == lists


def test_a_question_carries_its_ticket() -> None:
    assert taken([encode_question(77)])[1] == [(ASK, 77)]


@pytest.mark.parametrize(
    "wrong",
    {
        "nothing": b"",
        "another tag": b"Zxxxx",
        "half an entry": b"D" + bytes(39),
        "a relative path": b"Xbin/sh",
        "an empty path": b"X/bin/sh\0",
        "a commit without its number": b"C\0",
        "a commit with a tail": b"C" + bytes(5),
        "a mode for the unknown that there is not": b"R" + (3).to_bytes(4, "little"),
    }.values(),
)
def test_what_is_no_order_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        Draft().take(wrong)


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_give_a_part_or_an_error(messages: list[bytes]) -> None:
    draft = Draft()
    for message in messages:
        try:
            draft.take(message)
        except ParseError:
            continue
    assert isinstance(draft.lists, Lists)
