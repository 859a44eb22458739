"""Drills as a person reads them, whatever the sentinel answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli._drill_text import history, is_well, report, were_well
from vedette.cli._terminal import Painter
from vedette.codec.strict_json import Json

PLAIN = Painter(is_coloured=False)
ANSWER: dict[str, Json] = {
    "steps": [
        {"step": "process_creation", "tier": "ebpf", "state": "seen", "after_ms": 5, "rule": "a"},
        {"step": "file_event", "tier": "inotify", "state": "missed", "after_ms": 0, "rule": ""},
        {"step": "service", "tier": "No such\x1b[2J", "state": "not played", "after_ms": 0},
        {"step": "dns_query", "tier": "", "state": "optional", "after_ms": 0, "rule": ""},
        {"step": "kernel_activity", "tier": "audit", "state": "seen", "after_ms": 47, "rule": ""},
        {"step": "correlation", "tier": "", "state": "seen", "after_ms": 0, "rule": "b"},
    ],
    "responses": [
        {"responder": "kill", "ready": True, "detail": "it would be done"},
        {"responder": "deny_exec", "ready": False, "detail": "no holder"},
    ],
    "took_ms": 170,
    "every_m": 60,
}

GOLDEN = """\
drill  took 170 ms
  a program was started    seen        by ebpf after 5 ms
  a file was made          missed      inotify did not tell of it
  a line was logged        not played  No such\\e[2J
  a name was asked         optional    not expected: only the uplink sees names
  a guarded call was made  seen        by audit after 47 ms                      \
no rule matched: are the rules of rules/drill in the bundle?
  two matches were joined  seen        joined

responses, planned and not done
  kill       ready      it would be done
  deny_exec  not ready  no holder

the agent drills itself every 60 min ([drill] every_m)"""


def test_the_text_as_a_whole() -> None:
    assert "\n".join(report(ANSWER, PLAIN)) == GOLDEN


def steps(*rows: dict[str, Json]) -> dict[str, Json]:
    return {"steps": [*rows], "responses": []}


UNREADY: dict[str, Json] = {"responder": "deny_exec", "ready": False}
SEEN: dict[str, Json] = {"step": "file_event", "state": "seen", "rule": "a"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (steps(SEEN), True),
        (steps(SEEN, {"step": "service", "state": "not played"}), True),
        (steps(SEEN, {"step": "dns_query", "state": "optional"}), True),
        ({**steps(SEEN), "responses": [UNREADY]}, True),
        (steps(SEEN, {"step": "service", "state": "missed"}), False),
        (steps({**SEEN, "rule": ""}), False),
        (steps(), False),
        ({}, False),
    ],
)
def test_what_asks_for_a_person(answer: dict[str, Json], expected: bool) -> None:  # noqa: FBT001
    assert is_well(answer) is expected


def test_drills_of_the_past_are_a_line_each() -> None:
    drills: list[Json] = [
        {"wall_s": 0, "reason": "timer", "seen": {"a": {}, "b": {}}, "missed": [], "responses": []},
        {"wall_s": 60.5, "reason": "control", "seen": {}, "missed": ["file_event"],
         "responses": [{"responder": "kill", "ready": False}]},
    ]  # fmt: skip
    lines = history({"drills": drills}, PLAIN)
    assert lines[1].split() == ["1970-01-01", "00:00", "timer", "2", "-", "-"]
    assert lines[2].split() == ["1970-01-01", "00:01", "control", "0", "file_event", "kill"]
    assert not were_well({"drills": drills})
    assert were_well({"drills": drills[:1]})
    assert history({"drills": []}, PLAIN) == ["no drill yet: vedette drill"]


ODD = "a\n\x1b\u202e\ud800"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a\n\x1b\u202e\ud800", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["steps", "responses", "drills", "step", "state", "wall_s", "seen", "missed"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["steps", "responses", "drills", "every_m"]), VALUES))
def test_an_answer_of_any_shape_is_shown(answer: dict[str, Json]) -> None:
    for line in (*report(answer, PLAIN), *history(answer, PLAIN)):
        assert "\n" not in line
    is_well(answer)
    were_well(answer)
