"""Receipts: read back, hostile."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import receipt
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.model.command import Receipt, ReceiptStatus

FOUND = Receipt(
    "ab" * 32, "operator:0123456789abcdef:7", "isolate", ReceiptStatus.PARTLY,
    "two of three flows stay", {"response": "0123456789abcdef"},
)  # fmt: skip
PLAIN = receipt.plain(FOUND)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("status", ReceiptStatus)
def test_what_is_written_is_read(status: ReceiptStatus) -> None:
    found = FOUND._replace(status=status)
    assert receipt.parse(receipt.plain(found)) == found


def test_a_longer_detail_is_cut_to_what_is_read() -> None:
    found = receipt.parse(receipt.plain(FOUND._replace(detail="x" * 5000)))
    assert found.detail == "x" * receipt.MAX_DETAIL


HOSTILE: dict[str, Json] = {
    "no object": [],
    "a member too many": {**PLAIN, "more": 1},
    "a member missing": {name: value for name, value in PLAIN.items() if name != "origin"},
    "a status nobody knows": {**PLAIN, "status": "delighted"},
    "a status that is a number": {**PLAIN, "status": 1},
    "a digest of 63 digits": {**PLAIN, "command": "a" * 63},
    "facts as a list": {**PLAIN, "facts": []},
    "a fact that is a number": {**PLAIN, "facts": {"response": 1}},
    "65 facts": {**PLAIN, "facts": {f"f{n}": "" for n in range(65)}},
    "a detail beyond all bounds": {**PLAIN, "detail": "x" * 2001},
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_receipt_is_refused(document: Json) -> None:
    with pytest.raises(ParseError):
        receipt.parse(document)


@given(JSONISH | st.fixed_dictionaries(dict.fromkeys(PLAIN, JSONISH)))
def test_any_document_gives_a_receipt_or_a_parse_error(document: Json) -> None:
    with contextlib.suppress(ParseError):
        assert receipt.plain(receipt.parse(document)) == document
