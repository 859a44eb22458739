"""Fuzz target: what an operator's command line takes for the answers of devices."""

from __future__ import annotations

import contextlib

from vedette.codec import evidence, receipt, report, strict_json
from vedette.errors import ParseError
from vedette.model.command import Receipt, ReceiptStatus

_RECEIPT = Receipt("ab" * 32, "operator:aa:1", "kill", ReceiptStatus.DONE, "", {"response": "a"})
_PARTS = evidence.split({"a": 1}, command="ab" * 32, incident="feed", part_bytes=600)
SEEDS = [strict_json.canonical(receipt.plain(_RECEIPT)), strict_json.canonical(_PARTS[0])]


def target(data: bytes) -> None:
    """Any bytes are refused, or are a receipt that is the same after it was written and read."""
    try:
        document = report.decode(data, report.JSON)
    except ParseError:
        return
    with contextlib.suppress(ParseError):
        evidence.join([evidence.parse_part(document)])
    try:
        found = receipt.parse(document)
    except ParseError:
        return
    if receipt.parse(receipt.plain(found)) != found:
        raise AssertionError(f"a receipt changed on its way: {found}")
