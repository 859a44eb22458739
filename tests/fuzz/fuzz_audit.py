"""Fuzz target: audit records."""

from __future__ import annotations

from vedette.codec import audit
from vedette.codec.audit_execve import MAX_COMMAND_LINE_BYTES
from vedette.errors import ParseError
from vedette.model.event import Event, ProcessStarted

KINDS = (1300, 1309, 1322, 1330, 1305)


def target(data: bytes) -> None:
    """Any records give events or a ParseError; what is pending stays bounded and comes out.

    The input's lines are the records; the first byte of each chooses its type.
    """
    check([(KINDS[line[0] % len(KINDS)], line[1:]) for line in data.split(b"\n") if line])


def check(records: list[tuple[int, bytes]]) -> None:
    """Feed records of one stream and look at what comes out."""
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    for kind, text in records:
        try:
            assert join.read(kind, text, out) >= 0
        except ParseError as error:
            offset = error.offset
            assert 0 <= offset <= len(text)
        assert join.pending <= audit.MAX_PENDING
    join.flush(out)
    assert (join.pending, join.pending_bytes) == (0, 0)
    for event in out:
        if isinstance(event, ProcessStarted):
            assert len(event.command_line) <= MAX_COMMAND_LINE_BYTES
