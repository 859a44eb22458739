"""Model values survive the way to msgpack and back; everything else is a ParseError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.values import from_plain, to_plain
from vedette.core.inputs import Input, Observed, Reported, Resolved, RulesLoaded, Seeded
from vedette.errors import ParseError
from vedette.model.event import (
    Event,
    EventClass,
    EventsLost,
    FileChanged,
    ProcessExited,
    ProcessStarted,
)
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Bundle, Match, Not, Rule


def roundtrip(annotation: Any, value: Any) -> Any:
    packed = msgpack.packb(to_plain(value))
    return from_plain(annotation, msgpack.unpackb(packed, strict_map_key=False))


RULE = Rule(
    "id",
    "title",
    "author",
    Severity.HIGH,
    ("attack.t1059",),
    "process_creation",
    AllOf((Match("Image", "endswith", "/sh", False), Not(AnyOf((Match("", "re", "x", True),))))),
    ("Image",),
)

LOSS = EventsLost(1, "t", EventClass.FILE, "k", 0, False, "r")
CHANGE = FileChanged(1.0, "t", "created", "/x/\udcff\x00", "", 5, -1, -1, False, "")
INPUTS: list[Input] = [
    Observed(1.5, 2.0, (ProcessExited(1.0, "t", 5), LOSS)),
    Observed(1.5, 2.0, (CHANGE,)),
    Seeded(1.0, 2.0, (), {0: "root", 1000: "x"}),
    Resolved(1.0, 2.0, 3, ()),
    Reported(1.0, 2.0, "c", "t", Severity.LOW, {"A": "b"}),
    RulesLoaded(1.0, 2.0, Bundle("n", 1, 2, 3, (RULE,), ("a+",), "ff")),
]  # fmt: skip


@pytest.mark.parametrize("value", INPUTS, ids=lambda value: type(value).__name__)
def test_an_input_comes_back_equal(value: Input) -> None:
    assert roundtrip(Input, value) == value


def test_what_an_older_writer_did_not_know_has_its_default() -> None:
    event = ProcessStarted(1.0, "t", 5, 1, 0, "/x", "x", "x", True, 0, 0, "", "", 0, 0)
    older = to_plain(event)[: -len(ProcessStarted._field_defaults)]
    assert from_plain(ProcessStarted, older) == event
    with pytest.raises(ParseError, match="expected ProcessStarted"):
        from_plain(ProcessStarted, older[:-1])
    old_bundle = to_plain(Bundle("n", 1, 2, 3, (), (), "ff"))[:-2]
    assert from_plain(Bundle, old_bundle) == Bundle("n", 1, 2, 3, (), (), "ff")


@pytest.mark.parametrize(
    ("annotation", "plain"),
    [
        (int, "1"),
        (int, True),
        (str, 5),
        (Severity, 9),
        (tuple[int, ...], [1, "x"]),
        (tuple[int, str], [1]),
        (Mapping[str, str], {"a": 1}),
        (Mapping[str, str], []),
        (Event, ["Nonsense", 1]),
        (Event, []),
        (Event, None),
        (ProcessExited, ["ProcessExited", 1.0, "t"]),
        (ProcessExited, ["ProcessForked", 1.0, "t", 1]),
        (FileChanged, ["FileChanged", 1.0, "t", "eaten", "/", "", 0, 0, 0, False, ""]),
    ],
)
def test_another_shape_is_refused_with_its_path(annotation: Any, plain: Any) -> None:
    with pytest.raises(ParseError, match="expected"):
        from_plain(annotation, plain)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_any_plain_value_gives_an_input_or_a_parse_error(plain: Any) -> None:
    try:
        value = from_plain(Input, plain)
    except ParseError:
        return
    assert from_plain(Input, to_plain(value)) == value


@given(st.sampled_from([to_plain(value) for value in INPUTS]), st.data())
def test_a_damaged_input_gives_an_input_or_a_parse_error(plain: list[Any], data: Any) -> None:
    damaged = list(plain)
    damaged[data.draw(st.integers(0, len(plain) - 1))] = data.draw(PLAIN)
    try:
        value = from_plain(Input, damaged)
    except ParseError:
        return
    assert from_plain(Input, to_plain(value)) == value
