"""Systemd's journal export format (systemd.io/JOURNAL_EXPORT_FORMATS), read as a stream.

Rule 1: any bytes give entries or a ParseError; after one the stream's framing is lost.
Rule 2: only the fields a log line needs are kept, and of each at most MAX_VALUE_BYTES: what is
buffered stays below MAX_VALUE_BYTES plus what is fed at once, however long a field says it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vedette.errors import ParseError

MAX_VALUE_BYTES: Final = 8192
"""Of a message: journald itself splits lines of standard output at 48 KB."""

MAX_FIELD_BYTES: Final = 768 << 20
"""DATA_SIZE_MAX of journald: no field is longer."""

MAX_NAME_BYTES: Final = 64  # journald: names are shorter

FIELDS: Final = ("MESSAGE", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_COMM", "_PID", "SYSLOG_PID")

_WANTED = frozenset(name.encode() for name in FIELDS)
_SIZE_BYTES = 8


class JournalLine(NamedTuple):
    """One entry: who logged it, its message, and the pid the kernel vouches for (0: unknown)."""

    service: str
    message: str
    pid: int


class ExportParser:
    """Takes the stream in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fields: dict[bytes, bytes] = {}
        self._skip = 0
        self._is_cutting = False
        self._consumed = 0

    def feed(self, data: bytes) -> list[JournalLine]:
        """The entries that are complete now.

        Raises:
            ParseError: a field's name or length is not of this format.
        """
        self._buffer += data
        lines: list[JournalLine] = []
        offset = 0
        while True:
            after = self._step(offset, lines)
            if after == offset:
                break
            offset = after
        del self._buffer[:offset]
        self._consumed += offset
        return lines

    def _step(self, offset: int, lines: list[JournalLine]) -> int:
        """Read one field or separator; returns where the next begins, or `offset` to wait."""
        available = len(self._buffer) - offset
        if self._skip:
            skipped = min(self._skip, available)
            self._skip -= skipped
            return offset + skipped
        end = self._buffer.find(b"\n", offset)
        if self._is_cutting:
            self._is_cutting = end < 0
            return len(self._buffer) if end < 0 else end + 1
        if end < 0:
            return self._cut_long_line(offset, available)
        if end == offset:
            self._finish(lines)
        elif self._buffer.find(b"=", offset, end) >= 0:
            self._keep(bytes(self._buffer[offset:end]))
        else:
            return self._binary(offset, end)
        return end + 1

    def _cut_long_line(self, offset: int, available: int) -> int:
        """Keep the beginning of a text field that is too long, and pass over its rest."""
        if available <= MAX_VALUE_BYTES + MAX_NAME_BYTES:
            return offset
        line = bytes(self._buffer[offset:])
        if b"=" not in line[: MAX_NAME_BYTES + 1]:
            raise ParseError("expected the name of a journal field", self._consumed + offset)
        self._keep(line)
        self._is_cutting = True
        return len(self._buffer)

    def _binary(self, offset: int, end: int) -> int:
        """A field whose value has a length of 64 bits, and a newline behind it."""
        if end - offset > MAX_NAME_BYTES:
            raise ParseError("expected the name of a journal field", self._consumed + offset)
        start = end + 1 + _SIZE_BYTES
        if len(self._buffer) < start:
            return offset
        size = int.from_bytes(self._buffer[end + 1 : start], "little")
        if size > MAX_FIELD_BYTES:
            raise ParseError(
                f"expected a journal field of at most {MAX_FIELD_BYTES} bytes, got {size}",
                self._consumed + end + 1,
            )
        kept = min(size, MAX_VALUE_BYTES)
        if len(self._buffer) < start + kept:
            return offset
        value = bytes(self._buffer[start : start + kept])
        self._keep(bytes(self._buffer[offset:end]) + b"=" + value)
        self._skip = size - kept + 1
        return start + kept

    def _keep(self, field: bytes) -> None:
        name, _, value = field.partition(b"=")
        if name in _WANTED:
            self._fields.setdefault(name, value[:MAX_VALUE_BYTES])

    def _finish(self, lines: list[JournalLine]) -> None:
        fields, self._fields = self._fields, {}
        if b"MESSAGE" in fields:
            lines.append(_line(fields))


def _line(fields: dict[bytes, bytes]) -> JournalLine:
    # Names with an underscore come from journald itself, the others from the sender.
    service = (
        fields.get(b"SYSLOG_IDENTIFIER") or fields.get(b"_COMM") or fields.get(b"_SYSTEMD_UNIT")
    )
    pid = fields.get(b"_PID") or fields.get(b"SYSLOG_PID") or b""
    return JournalLine(
        (service or b"").decode("utf-8", "surrogateescape"),
        fields[b"MESSAGE"].decode("utf-8", "surrogateescape"),
        int(pid) if pid.isdigit() and len(pid) <= len("4194304") else 0,
    )
