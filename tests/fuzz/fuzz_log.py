"""The journal's export stream and lines of log files."""

from __future__ import annotations

import contextlib

from vedette.codec.journal_export import MAX_VALUE_BYTES, ExportParser
from vedette.codec.syslog import parse_line
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes, in any pieces, give lines or a ParseError, and little stays buffered."""
    parser = ExportParser()
    size = data[0] + 1 if data else 1
    with contextlib.suppress(ParseError):
        for at in range(1, len(data), size):
            for line in parser.feed(data[at : at + size]):
                assert len(line.message) <= MAX_VALUE_BYTES
            assert len(parser._buffer) <= 2 * MAX_VALUE_BYTES
    with contextlib.suppress(ParseError):
        parse_line(data)
