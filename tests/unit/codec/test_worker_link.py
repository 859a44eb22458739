"""Between installer and worker: read back as written; a report that lies is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.worker_link import (
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from vedette.errors import ParseError
from vedette.model.golden import CaseResult, GoldenCase, GoldenRequest

REQUEST = GoldenRequest(
    "nobody", "/m",
    (GoldenCase("a", ("/run", "\u00e9 {"), "/a.expected", 0.5, 0.0),
     GoldenCase("b", ("/run",), "/b.expected", 0.0, 1e-9)),
    1000, 1 << 20, 100,
)  # fmt: skip
GOOD = CaseResult("a", "", is_limit=False, time_ms=5, peak_bytes=1 << 20)
BAD = CaseResult("b", "answer: expected 1, got 2", is_limit=False, time_ms=7, peak_bytes=1)


def test_a_request_is_read_as_written() -> None:
    assert decode_request(encode_request(REQUEST)) == REQUEST


def test_a_request_too_long_for_an_argument_is_refused() -> None:
    case = REQUEST.cases[0]._replace(argv=("/run", "x" * 130_000))
    with pytest.raises(ParseError, match="at most"):
        encode_request(REQUEST._replace(cases=(case,)))


@pytest.mark.parametrize("results", [[GOOD, BAD], [GOOD._replace(detail="x", is_limit=True)]])
def test_a_report_is_read_as_written(results: list[CaseResult]) -> None:
    assert decode_report(encode_report(results), ["a", "b"]) == tuple(results)


def test_what_a_runner_said_cannot_steer_a_terminal() -> None:
    (found,) = decode_report(encode_report([BAD._replace(detail="\x1b[2J\n")]), ["b"])
    assert found.detail == "\\e[2J\\n"


LIES = {
    "nothing was run": [],
    "only some were run": [GOOD],
    "others were run": [GOOD, GOOD],
    "in another order": [BAD, GOOD],
    "more than were asked": [GOOD, BAD, BAD],
}


@pytest.mark.parametrize("case", LIES)
def test_a_report_that_does_not_answer_is_refused(case: str) -> None:
    with pytest.raises(ParseError):
        decode_report(encode_report(LIES[case]), ["a", "b"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("detail", 5), ("detail", "x" * 301), ("detail", "\x1b"), ("limit", 1), ("time-ms", -1),
     ("time-ms", 1.5), ("peak", 2**60), ("name", None), ("extra", 1)],
)  # fmt: skip
def test_a_result_that_is_none_is_refused(name: str, value: object) -> None:
    row = {**json.loads(encode_report([GOOD]))[0], name: value}
    with pytest.raises(ParseError):
        decode_report(json.dumps([row]).encode(), ["a"])


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        decode_report(data, ["a"])
    with contextlib.suppress(ParseError):
        decode_request(data.decode("utf-8", "replace"))
