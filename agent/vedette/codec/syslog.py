"""Lines of a system log file: RFC 3164 as rsyslog, syslog-ng and BusyBox write it.

Rule 1: any bytes give a SyslogLine or a ParseError (no time stamp at the beginning).
Rule 2: time and host are checked and dropped: the reader knows when it read, and where.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vedette.errors import ParseError

MAX_LINE_BYTES: Final = 8192
"""RFC 3164 ends at 1,024 and rsyslog at 8,096; longer lines are cut by their reader."""

_TIME = (
    rb"(?:<\d{1,3}>)?"
    rb"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d"
    rb"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
)
_FACILITY = rb"(?:[a-z0-9]{2,10}\.[a-z]{3,7} )?"  # BusyBox writes "auth.info" before the tag
_TAG = rb"([^\s:\[\]]{1,64})(?:\[(\d{1,7})\])?:(?: |$)"
_HEADER = re.compile(_TIME + rb" (?:\S{1,255} )?" + _FACILITY + _TAG)
_UNTAGGED = re.compile(_TIME + rb"(?: |$)")


class SyslogLine(NamedTuple):
    """One message; `service` is the tag, "" for a line without one; `pid` 0 if not told."""

    service: str
    message: str
    pid: int


def parse_line(line: bytes) -> SyslogLine:
    """Read one line without its newline.

    Raises:
        ParseError: it does not begin with a time stamp.
    """
    header = _HEADER.match(line)
    if header is None:
        untagged = _UNTAGGED.match(line)
        if untagged is None:
            raise ParseError(f"expected a time stamp, got {line[:32]!r}")
        return SyslogLine("", _text(line[untagged.end() :]), 0)
    tag, pid = header.groups()
    return SyslogLine(_text(tag), _text(line[header.end() :]), int(pid or 0))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
