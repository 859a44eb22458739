"""The receipt of an operator's command: the JSON document that a device publishes under up/receipt.

    {"command": "<64 hex digits>", "detail": "...", "facts": {"response": "..."},
     "origin": "operator:<key id>:<number>", "status": "done", "verb": "isolate"}

Rule 1: any document gives a Receipt or a ParseError.
Rule 2: the signature is the device's, over the publication (codec/envelope.py, purpose "receipt").
"""

from __future__ import annotations

import re

from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.command import Receipt, ReceiptStatus

MAX_DETAIL = 2000
MAX_FACTS = 64

_NAMES = frozenset(Receipt._fields)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def plain(receipt: Receipt) -> dict[str, Json]:
    """A receipt as JSON; a longer detail is cut."""
    return {
        "command": receipt.command,
        "detail": receipt.detail[:MAX_DETAIL],
        "facts": dict(receipt.facts),
        "origin": receipt.origin,
        "status": str(receipt.status),
        "verb": receipt.verb,
    }


def parse(document: Json) -> Receipt:
    """Read what `plain` made.

    Raises:
        ParseError: it is no receipt.
    """
    if not isinstance(document, dict) or document.keys() != _NAMES:
        raise ParseError(f"expected a receipt with {', '.join(sorted(_NAMES))}")
    facts = document["facts"]
    if not isinstance(facts, dict) or len(facts) > MAX_FACTS:
        raise ParseError(f"expected at most {MAX_FACTS} facts as an object")
    command = _text(document["command"])
    if _DIGEST.fullmatch(command) is None:
        raise ParseError(f"expected a command's digest of 64 hex digits, got {quoted(command)}")
    try:
        status = ReceiptStatus(_text(document["status"]))
    except ValueError as error:
        raise ParseError(
            f"expected a receipt's status, got {quoted(document['status'])}"
        ) from error
    return Receipt(
        command=command,
        origin=_text(document["origin"]),
        verb=_text(document["verb"]),
        status=status,
        detail=_text(document["detail"]),
        facts={name: _text(value) for name, value in facts.items()},
    )


def _text(value: Json) -> str:
    if not isinstance(value, str) or len(value) > MAX_DETAIL:
        raise ParseError(f"expected text of at most {MAX_DETAIL} characters, got {quoted(value)}")
    return value
