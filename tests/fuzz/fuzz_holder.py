"""Fuzzes what passes between kernel, holder, sentinel and the response that asks for a ban."""

from __future__ import annotations

from vedette.codec import ban_line, exec_events, holder_orders, holder_reports
from vedette.errors import ParseError
from vedette.model.ban import Ban
from vedette.model.denial import Lists

_LISTS = Lists(unknown=1, denied=frozenset({(5, bytes(32))}), essential=frozenset({"/a", "/b"}))
SEEDS = (
    *holder_orders.encode_lists(_LISTS, 7),
    holder_orders.encode_question(1),
    holder_reports.encode_report(holder_reports.Freed(1, 2, 3, "why")),
    holder_reports.encode_report(
        holder_reports.Decision(1, 2, 3, 4, bytes(32), "/tmp/x", is_late=True)
    ),
    ban_line.encode_request(Ban("00" * 8, "ab" * 32, 5, "/tmp/x")),
    bytes.fromhex("180000000300180000000400000000000700000067120000"),
)


def target(data: bytes) -> None:
    """Any bytes are refused, or read and written the same way again."""
    _holder(data)
    try:
        found = ban_line.parse_request(data)
        if ban_line.parse_request(ban_line.encode_request(found)) != found:
            raise AssertionError(f"{found!r} is written as something else")
    except ParseError:
        return


def _holder(data: bytes) -> None:
    for read in (exec_events.parse_events, holder_orders.Draft().take):
        try:
            read(data)
        except ParseError:
            continue
    try:
        written = holder_reports.encode_report(holder_reports.parse_report(data))
    except ParseError:
        return
    if holder_reports.encode_report(holder_reports.parse_report(written)) != written:
        raise AssertionError(f"{written!r} is written as other bytes")
