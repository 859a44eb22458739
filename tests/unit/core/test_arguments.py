from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.linear_engine import LinearEngine

from vedette.codec.text import told_apart
from vedette.core.arguments import MAX_PLACE, argument, place_of
from vedette.core.cut import HEAD_CHARS, SCAN_CHARS, cut
from vedette.core.engine import Engine
from vedette.model.finding import Severity
from vedette.model.rule import AnyOf, Bundle, Match, Rule

WORDS = st.text(st.sampled_from("ab -/=."), max_size=6)


def fields_of(argv: list[str]) -> dict[str, str]:
    line = " ".join(argv)
    fields = {"CommandLine": line, "Arguments": told_apart(argv, line)}
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize(
    ("field", "place"), [("a1", 1), ("a63", 63), ("a64", 0), ("a0", 0), ("a01", 0), ("Image", 0)]
)
def test_a_field_may_name_a_place(field: str, place: int) -> None:
    assert place_of(field) == place


@given(st.lists(WORDS, min_size=1, max_size=8), st.integers(1, 9))
def test_arguments_are_what_the_program_was_given(argv: list[str], place: int) -> None:
    expected = argv[place] if place < len(argv) else None
    found = argument(fields_of(argv), place)
    assert found == expected


def test_most_command_lines_say_it_all() -> None:
    assert told_apart(["ls", "-l", ""], "ls -l ") == ""
    assert told_apart([], "") == ""
    assert told_apart(["sh", "a b"], "sh a b") == "sh\0a b"


@pytest.mark.parametrize("separator", [" ", "\0"])
def test_what_reaches_beyond_the_head_of_a_long_line_is_not_known(separator: str) -> None:
    argv = ["x", "y" * (HEAD_CHARS - 10), "fits", "does-not"]
    line = separator.join([*argv, "z" * SCAN_CHARS])
    name = "CommandLine" if separator == " " else "Arguments"
    fields = {"CommandLine": cut(line.replace("\0", " ")), name: cut(line)}
    assert (argument(fields, 2), argument(fields, 3)) == ("fits", None)


def test_an_event_without_a_command_line_has_no_arguments() -> None:
    assert argument({"Image": "/x"}, 1) is None
    assert argument({"CommandLine": "x y"}, 1) == "y"


MATCHES = st.builds(
    Match,
    st.sampled_from(("a1", "a2", "a3", f"a{MAX_PLACE}")),
    st.sampled_from(("equals", "contains", "startswith", "endswith")),
    WORDS.filter(bool),
    st.booleans(),
)


@given(st.lists(MATCHES, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=6))
def test_the_engine_finds_what_the_slow_one_does(matches: list[Match], argv: list[str]) -> None:
    folded = [one if one.is_cased else one._replace(value=one.value.lower()) for one in matches]
    rule = Rule("r", "R", "A", Severity.LOW, (), "process_creation", AnyOf(tuple(folded)), ())
    bundle = Bundle("n", 1, 0, 0, (rule,), (), "")
    fields = fields_of(argv)
    engine = Engine(bundle)
    expected = LinearEngine(bundle).match("process_creation", fields)
    assert engine.match("process_creation", fields) == expected
    assert engine.match("process_creation", fields) == expected
    assert engine.always == ()
