"""Between the sentinel and the prober: everything that is asked comes back, and nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.essential import (
    MAX_DETAIL_CHARS,
    MAX_PIDS,
    MAX_REPORT_BYTES,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
)
from vedette.errors import ParseError
from vedette.model.essential import EssentialFunction, Probed

FUNCTIONS = (
    EssentialFunction("stream", "a.service", "::1", 554, ("/bin/check", "a b", "ü"), "www"),
    EssentialFunction("plain", port=80),
)  # fmt: skip
FOUND = (Probed("stream", True, "a.service is active", (7, 8)), Probed("plain", False, "", ()))
NAMES = ("stream", "plain")


def test_a_request_comes_back() -> None:
    assert decode_request(encode_request(FUNCTIONS)) == FUNCTIONS


def test_a_report_comes_back() -> None:
    assert decode_report(encode_report(FOUND), NAMES) == FOUND
    assert decode_report(b"", NAMES) == ()


def test_a_detail_is_escaped_and_cut() -> None:
    loud = Probed("plain", False, "\x1b[2J" + "x" * 1000, tuple(range(1, 1000)))
    (found,) = decode_report(encode_report([loud]), NAMES)
    assert found.detail.startswith("\\e[2J")
    assert len(found.detail) == MAX_DETAIL_CHARS
    assert len(found.pids) == MAX_PIDS


def test_many_functions_with_many_words_still_fit() -> None:
    names = [f"f{number}" for number in range(64)]
    loud = [Probed(name, True, "ü" * 300, tuple(range(4_000_000, 4_000_256))) for name in names]
    report = encode_report(loud)
    assert len(report) <= MAX_REPORT_BYTES
    assert [one.name for one in decode_report(report, names)] == names


GOOD = encode_report(FOUND)
WRONG = {
    "a line that is cut": GOOD[:-5],
    "a function nobody asked about": encode_report([Probed("other", True, "", ())]),
    "one function twice": GOOD + GOOD,
    "no JSON": b"up\n",
    "an empty line": GOOD + b"\n",
    "a list": b"[]\n",
    "a key too many": GOOD.replace(b'"up"', b'"more":1,"up"', 1),
    "up as a number": GOOD.replace(b"true", b"1"),
    "pids that are texts": GOOD.replace(b"[7,8]", b'["7"]'),
    "pids that are true": GOOD.replace(b"[7,8]", b"[true]"),
    "pids below 1": GOOD.replace(b"[7,8]", b"[0]"),
    "pids that no kernel gives": GOOD.replace(b"[7,8]", b"[4194305]"),
    "a detail without end": GOOD.replace(b"a.service is active", b"x" * 1000),
    "a report without end": b"\n" * (MAX_REPORT_BYTES + 1),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_another_report_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        decode_report(data, NAMES)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_report_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        decode_report(data, NAMES)


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_report_cut_anywhere_is_whole_lines_or_a_parse_error(cut: int) -> None:
    try:
        found = decode_report(GOOD[:cut], NAMES)
    except ParseError:
        return
    assert found == FOUND[: len(found)]


REQUEST = encode_request(FUNCTIONS)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", "[{}]", REQUEST[:-1], REQUEST.replace("554", '"554"'),
     REQUEST.replace('"www"', "3"), REQUEST.replace('"a b"', "3"), REQUEST.replace('"::1"', "[]")],
)  # fmt: skip
def test_another_request_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        decode_request(text)
