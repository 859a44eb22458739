"""What an operator reads of a message that anyone may have published."""

from __future__ import annotations

from vedette.codec import report, strict_json
from vedette.errors import ParseError

_DOCUMENT: strict_json.Json = {
    "class_uid": 2004,
    "severity_id": 4,
    "finding_info": {"uid": "feed", "title": "t", "analytic": {"uid": "r"}},
    "evidences": [{"process": {"pid": 1, "parent_process": {"pid": 2}}, "data": {"a": "b"}}],
    "unmapped": {"losses": [{"count": 1, "stage": "kernel"}], "actions": ["none"]},
}
SEEDS = [report.encode(_DOCUMENT, kind) for kind in (report.JSON, report.MSGPACK)]


def target(data: bytes) -> None:
    """Any body of either content type is refused or gives a report whose parts are bounded."""
    for content_type in (report.JSON, report.MSGPACK):
        try:
            found = report.parse_report(report.decode(data, content_type))
        except ParseError:
            continue
        if len(found.chain) > 16:
            raise AssertionError(f"a chain of {len(found.chain)} links")
