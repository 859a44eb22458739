"""Links of the checkpoints: whole, cut, with a tail, and anything else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import chain_link
from vedette.codec.chain_link import decode_body, encode_body, extensions, is_link, parse_link
from vedette.codec.note import Checkpoint
from vedette.codec.strict_json import parse
from vedette.errors import ParseError

KEY, NEXT = bytes(range(32)), bytes(range(32, 64))
LINES = extensions("ab" * 32, 12, KEY, NEXT)


def checkpoint(*lines: str) -> Checkpoint:
    return Checkpoint("vedette/acme/cam-7/1", 5, bytes(32), lines)


@pytest.mark.parametrize("baseline", ["", "ab" * 32])
def test_what_is_written_is_read_back(baseline: str) -> None:
    lines = extensions(baseline, 12, KEY, NEXT)
    assert parse_link(checkpoint(*lines))[1:] == (12, KEY, NEXT)


MALFORMED = {
    "nothing": (),
    "a line is missing": LINES[:-1],
    "a line too many": (*LINES, "more 1"),
    "another order": (LINES[0], LINES[2], LINES[1], LINES[3]),
    "a number with a zero before": (LINES[0], "link 012", *LINES[2:]),
    "a negative number": (LINES[0], "link -1", *LINES[2:]),
    "a number of another alphabet": (LINES[0], "link \u0661", *LINES[2:]),
    "a short key": (LINES[0], LINES[1], LINES[2][:-2], LINES[3]),
    "a key in capitals": (LINES[0], LINES[1], LINES[2].upper().replace("KEY", "key"), LINES[3]),
}


@pytest.mark.parametrize("lines", MALFORMED.values(), ids=MALFORMED.keys())
def test_other_lines_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(ParseError, match="expected"):
        parse_link(checkpoint(*lines))


def test_a_body_is_read_back_with_its_proof() -> None:
    body = encode_body("a note\n\u2014".encode(), (KEY, NEXT))
    document = parse(body, max_bytes=len(body))
    assert is_link(document)
    assert decode_body(document) == ("a note\n\u2014".encode(), (KEY, NEXT))


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"link": 1, "proof": []}, {"link": "x"}, {"link": "x", "proof": [1]},
     {"link": "x", "proof": ["ab"]}, {"link": "x", "proof": ["ab" * 32] * 129}],
)  # fmt: skip
def test_another_document_is_refused(document: object) -> None:
    with pytest.raises(ParseError, match="expected"):
        decode_body(document)  # type: ignore[arg-type]


@given(st.binary())
def test_any_bytes_give_a_link_or_a_parse_error(data: bytes) -> None:
    with suppress(ParseError):
        chain_link.decode_note(data)
