"""What the holder tells: every report comes back, and any bytes give a report or ParseError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.holder_reports import (
    MESSAGE_BYTES,
    Alive,
    Decision,
    Freed,
    Gap,
    InUse,
    Refused,
    encode_report,
    parse_report,
)
from vedette.errors import ParseError
from vedette.model.denial import BY_DIGEST, QUEUE_FULL, UNLISTED

REPORTS = [
    InUse(2**32 - 1, 3, "/mnt: Invalid argument", is_cached=True),
    InUse(1, 0, "", is_cached=False),
    Decision(BY_DIGEST, 4711, 9, 2**40, bytes(range(32)), "/tmp/x\n\udcff", is_late=False),
    Decision(UNLISTED, 1, 1, 1, bytes(32), "", is_late=True),
    Gap(QUEUE_FULL, 12),
    Freed(3, 4, 15_000, "no sign of life"),
    Alive(7, 1, 2, 3, 2**63),
    Refused("no"),
]


def values(report: object) -> list[object]:
    return [type(report), *(getattr(report, name) for name in type(report).__slots__)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_every_report_comes_back(report: object) -> None:
    assert values(parse_report(encode_report(report))) == values(report)


@pytest.mark.parametrize("report", [Gap(1, 2), Alive(1, 2, 3, 4, 5)])
def test_a_tail_is_refused(report: object) -> None:
    with pytest.raises(ParseError):
        parse_report(encode_report(report) + b"\0")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_every_truncation_is_refused_or_shortens_the_text(report: object) -> None:
    whole = encode_report(report)
    for length in range(len(whole)):
        try:
            found = parse_report(whole[:length])
        except ParseError:
            continue
        assert type(found) is type(report)
        assert encode_report(found) == whole[:length]


def test_a_path_too_long_to_be_one_is_cut() -> None:
    report = Decision(BY_DIGEST, 1, 1, 1, bytes(32), "/x" * MESSAGE_BYTES, is_late=False)
    assert len(encode_report(report)) == MESSAGE_BYTES


@pytest.mark.parametrize("wrong", [b"", b"?", b"G\0" + bytes(4), b"G\6" + bytes(4), b"D\0"])
def test_what_is_no_report_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        parse_report(wrong)


@given(st.binary(max_size=120))
def test_any_bytes_give_a_report_or_an_error(data: bytes) -> None:
    try:
        found = parse_report(data)
    except ParseError:
        return
    assert values(parse_report(encode_report(found))) == values(found)


def test_only_reports_are_told() -> None:
    with pytest.raises(TypeError, match="expected a report"):
        encode_report("denied")
