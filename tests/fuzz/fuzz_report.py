"""What an operator reads of a message that anyone may have published."""

from __future__ import annotations

from vedette.codec import report
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any body of either content type is refused or gives a report whose parts are bounded."""
    for content_type in (report.JSON, report.MSGPACK):
        try:
            found = report.parse_report(report.decode(data, content_type))
        except ParseError:
            continue
        if len(found.chain) > 16:
            raise AssertionError(f"a chain of {len(found.chain)} links")
