"""Steps of updates as JSON: read back, hostile."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import update_report
from vedette.codec.ocsf import canonical
from vedette.codec.strict_json import Json, parse
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport

FOUND = UpdateReport(
    "0123456789abcdef", Step.REFUSED, ReleaseKind.MODEL, "lane-net", "2.1", 7, "ab" * 32,
    Cause.GOLDEN, "expected 0.91 +- 0.01, got 0.40", "schedule", 1_800_000_000, {"took_ms": "41"},
)  # fmt: skip
PLAIN = update_report.plain(FOUND)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def message(report: UpdateReport = FOUND) -> dict[str, Json]:
    return update_report.document(
        report, Severity.HIGH, ("atlas.aml.t0018",), device="cam-7", tenant="acme", wall_s=1.5
    )


WORDS = [
    *(replace(FOUND, step=step) for step in Step),
    *(replace(FOUND, cause=cause) for cause in Cause),
    *(replace(FOUND, kind=kind) for kind in (None, *ReleaseKind)),
]


@pytest.mark.parametrize("found", WORDS, ids=lambda one: f"{one.step} {one.cause} {one.kind}")
def test_what_is_written_is_read(found: UpdateReport) -> None:
    assert update_report.parse(update_report.plain(found)) == found


def test_long_texts_are_cut_to_what_is_read() -> None:
    found = replace(FOUND, reason="x" * 9000, name="n" * 900, facts={"a": "f" * 900})
    read = update_report.parse(update_report.plain(found))
    assert (len(read.reason), len(read.name), len(read.facts["a"])) == (
        update_report.MAX_REASON, update_report.MAX_TEXT, update_report.MAX_FACT,
    )  # fmt: skip


def test_a_message_is_ocsf_and_gives_the_step_back() -> None:
    document = message()
    assert (document["class_uid"], document["type_uid"], document["status"]) == (
        6002, 600208, "Failure",
    )  # fmt: skip
    assert document["attacks"] == [{"technique": {"uid": "AML.T0018"}}]
    read = parse(canonical(document), max_bytes=1 << 16)
    assert update_report.parse_document(read) == (FOUND, Severity.HIGH)


HOSTILE: dict[str, Json] = {
    "no object": [],
    "a member too many": {**PLAIN, "more": 1},
    "a member missing": {name: value for name, value in PLAIN.items() if name != "by"},
    "a step nobody knows": {**PLAIN, "step": "celebrated"},
    "a step that is a number": {**PLAIN, "step": 1},
    "a kind nobody knows": {**PLAIN, "kind": "wallpaper"},
    "a kind that is null": {**PLAIN, "kind": None},
    "a cause nobody knows": {**PLAIN, "cause": "fate"},
    "an id of 15 digits": {**PLAIN, "step_id": "a" * 15},
    "an id in capitals": {**PLAIN, "step_id": "A" * 16},
    "a digest of 63 digits": {**PLAIN, "digest": "a" * 63},
    "a counter below 0": {**PLAIN, "counter": -1},
    "a counter that no JSON reader holds": {**PLAIN, "counter": 2**53},
    "a counter that is true": {**PLAIN, "counter": True},
    "a counter that is a fraction": {**PLAIN, "counter": 1.0},
    "facts as a list": {**PLAIN, "facts": []},
    "a fact that is a number": {**PLAIN, "facts": {"slot": 1}},
    "a fact with a strange name": {**PLAIN, "facts": {"Slot/..": "b"}},
    "33 facts": {**PLAIN, "facts": {f"f{n}": "" for n in range(33)}},
    "a reason beyond all bounds": {**PLAIN, "reason": "x" * 2001},
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_step_is_refused(document: Json) -> None:
    with pytest.raises(ParseError):
        update_report.parse(document)


@pytest.mark.parametrize(
    "found",
    [
        [], {}, {**message(), "class_uid": 2004}, {**message(), "severity_id": 9},
        {**message(), "severity_id": True}, {**message(), "unmapped": {}},
        {**message(), "unmapped": []},
    ],
    ids=["a list", "nothing", "an incident", "severity 9", "severity true", "no step", "no object"],
)  # fmt: skip
def test_what_is_no_message_of_a_step_is_refused(found: Json) -> None:
    with pytest.raises(ParseError):
        update_report.parse_document(found)


@given(JSONISH | st.fixed_dictionaries(dict.fromkeys(PLAIN, JSONISH)))
def test_any_document_gives_a_step_or_a_parse_error(document: Json) -> None:
    with contextlib.suppress(ParseError):
        assert update_report.plain(update_report.parse(document)) == document
