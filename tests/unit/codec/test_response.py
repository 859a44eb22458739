"""Orders on the disk: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import kept_response
from vedette.codec.kept_response import KeptResponse
from vedette.codec.response import (
    plain_order,
    plain_outcome,
    plain_record,
    read_order,
    read_record,
    target_words,
)
from vedette.codec.strict_json import canonical, parse
from vedette.codec.text import escape
from vedette.errors import ParseError
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    ModelTarget,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
    UnitTarget,
)

PATHS = st.binary(max_size=40).map(lambda raw: "/" + raw.decode("utf-8", "surrogateescape"))
KEYS = st.builds(ProcessKey, st.integers(0, 2**22), st.integers(0, 2**40))
TARGETS: st.SearchStrategy[Target] = st.one_of(
    st.builds(
        ProcessTarget, KEYS, PATHS, st.floats(0, 2**40), st.lists(KEYS, max_size=3).map(tuple)
    ),
    st.builds(FileTarget, PATHS, st.just("ab" * 32)),
    st.just(PeerTarget("2001:db8::1")),
    st.just(UnitTarget("httpd.service")),
    st.just(ModelTarget("person", "ab" * 32)),
    st.just(DeviceTarget()),
)
ORDER = Order(
    "0123456789abcdef", "kill", DeviceTarget(), Mode.ENFORCE, "rule", "ab" * 8, "end-miner", 60.0
)
RECORDS = st.dictionaries(
    st.text("abc", max_size=3), st.one_of(PATHS, st.integers(-(2**62), 2**62)), max_size=4
)


@given(TARGETS)
def test_an_order_is_read_as_it_was_written(target: Target) -> None:
    order = ORDER._replace(target=target)
    assert read_order(parse(canonical(plain_order(order)), max_bytes=1 << 20)) == order


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: dict[str, str | int]) -> None:
    assert read_record(parse(canonical(plain_record(record)), max_bytes=1 << 20)) == record


@given(PATHS)
def test_what_is_shown_of_a_target_deceives_nobody(path: str) -> None:
    words = target_words(FileTarget(path, ""))
    assert escape(words) == words


def test_an_outcome_is_json() -> None:
    outcome = Outcome(ResponseStatus.PARTLY, "1 of 2 \udcff", {"processes": 1})
    assert json.loads(canonical(plain_outcome(outcome))) == {
        "detail": "1 of 2 \\xff", "facts": {"processes": 1}, "status": "partly",
    }  # fmt: skip


WRONG: dict[str, dict[str, Any]] = {
    "an id of another length": {"id": "abc"},
    "a responder with a path": {"responder": "../kill"},
    "a mode nobody knows": {"mode": "maybe"},
    "less than no time": {"lasts": -1},
    "more time than there is": {"lasts": 1e300},
    "a flag for a time": {"lasts": True},
    "a target of another kind": {"target": {"kind": "planet"}},
    "a target that is none": {"target": [1]},
    "a peer without an address": {"target": {"kind": "peer"}},
    "a negative pid": {
        "target": {"kind": "process", "pid": -1, "start": 0, "image": "", "seen": 0, "kin": []}
    },
    "kin that is none": {
        "target": {"kind": "process", "pid": 1, "start": 0, "image": "", "seen": 0, "kin": [[1]]}
    },
    "a backslash that escapes nothing": {"target": {"kind": "file", "path": "/\\y", "sha256": ""}},
    "text longer than a path": {"cause": "x" * 5000},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_order_is_refused(what: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        read_order(plain_order(ORDER) | WRONG[what])


def test_what_lacks_a_name_is_refused() -> None:
    fields = plain_order(ORDER)
    del fields["cause"]
    with pytest.raises(ParseError, match="an order with"):
        read_order(fields)


KEPT = KeptResponse(ORDER, {"to": "/x", "mode": 33188}, "1" * 32, 1000.5, 60.0)


@given(TARGETS, RECORDS)
def test_a_kept_response_is_read_as_it_was_written(
    target: Target, record: dict[str, str | int]
) -> None:
    kept = KEPT._replace(order=ORDER._replace(target=target), record=record)
    assert kept_response.decode(kept_response.encode(kept)) == kept


@given(st.integers(0, len(kept_response.encode(KEPT)) - 1), st.integers(1, 255))
def test_one_altered_byte_is_noticed(position: int, change: int) -> None:
    data = bytearray(kept_response.encode(KEPT))
    data[position] ^= change
    with pytest.raises(ParseError):
        kept_response.decode(bytes(data))


@given(st.integers(0, len(kept_response.encode(KEPT)) - 1))
def test_a_cut_file_is_noticed(length: int) -> None:
    with pytest.raises(ParseError):
        kept_response.decode(kept_response.encode(KEPT)[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_response_or_none(data: bytes) -> None:
    with pytest.raises(ParseError):
        kept_response.decode(data)


def test_what_is_left_of_it() -> None:
    assert KEPT.left_s("1" * 32, 990.5) == 10.0
    assert KEPT.left_s("1" * 32, 1000.5) < 0
    assert KEPT.left_s("1" * 32, 2000.0) < 0
    assert KEPT.left_s("2" * 32, 2000.0) == 60.0
    assert KEPT._replace(remaining_s=0.0).left_s("1" * 32, 1e9) == 0.0
