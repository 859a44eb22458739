"""The arguments of an execution, from one or more EXECVE records.

Rule 1: text that the kernel could not quote is in hex; a quoted text holds neither blank nor quote
(kernel/audit.c, audit_log_untrustedstring), so a record may be split at blanks.
Rule 2: an argument longer than a record comes as `aN_len=` and pieces `aN[K]=`, which may go on in
the next record (kernel/auditsc.c, audit_log_execve_info).
Rule 3: MAX_COMMAND_LINE_BYTES are kept; the rest is only counted, however much comes.
"""

from __future__ import annotations

import re
from typing import Final

from vedette.errors import ParseError

MAX_COMMAND_LINE_BYTES: Final = 64 * 1024
"""Ours: ARG_MAX allows 2 MB, and rules look at the first kilobytes."""

_PIECE = re.compile(rb"a(\d{1,7})(?:_(len)|\[\d{1,7}\])")
_QUOTE: Final = 0x22


class Arguments:
    """Collects the arguments of one execution, record by record.

    Attributes:
        kept: the arguments so far, as far as they fit.
        size: bytes taken, above MAX_COMMAND_LINE_BYTES once something was cut.
    """

    __slots__ = ("_count", "_expected", "_is_broken", "_open_left", "kept", "size")

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.size = 0
        self._count = 0
        self._expected = -1
        self._is_broken = False
        self._open_left = 0  # encoded bytes that the newest argument still lacks

    @property
    def is_whole(self) -> bool:
        """Whether the last argument has come."""
        return self._count == self._expected and not self._open_left

    @property
    def is_complete(self) -> bool:
        """Whether all came, could be read and was kept."""
        return self.is_whole and not self._is_broken and self.size <= MAX_COMMAND_LINE_BYTES

    def add(self, parts: list[bytes]) -> None:
        """Take the fields of one record, without its stamp.

        Raises:
            ParseError: a field is not an argument, or not the next one.
        """
        try:
            if self._count or not self._add_plain(parts):
                for part in parts:
                    self._add_field(part)
        except ParseError:
            self._is_broken = True
            raise

    def _add_plain(self, parts: list[bytes]) -> bool:
        """Take a record that holds everything, as nearly all do; False if it does not."""
        if not parts or parts[0] != b"argc=%d" % (len(parts) - 1):
            return False
        kept = []
        for number, part in enumerate(parts[1:]):
            name = b"a%d=" % number
            if not part.startswith(name):
                return False
            start = len(name)
            if part[start : start + 1] == b'"' == part[-1:] and len(part) > start + 1:
                kept.append(part[start + 1 : -1])
            else:
                kept.append(value_bytes(part[start:]))
        size = sum(map(len, kept)) + len(kept)
        if size > MAX_COMMAND_LINE_BYTES:
            return False
        self.kept, self.size = kept, size
        self._count = self._expected = len(kept)
        return True

    def _add_field(self, part: bytes) -> None:
        name, _, value = part.partition(b"=")
        if name[1:].isdigit() and name[:1] == b"a":
            self._begin(name[1:], part)
            self._extend(value_bytes(value))
        elif name == b"argc":
            self._expected = _number(value, part)
        elif name:
            self._add_piece(name, value)

    def _add_piece(self, name: bytes, value: bytes) -> None:
        found = _PIECE.fullmatch(name)
        if found is None:
            raise ParseError(f"audit EXECVE record: expected a<number>, got {name[:40]!r}")
        if found[2]:
            self._begin(found[1], name)
            self._open_left = _number(value, name)
            return
        if int(found[1]) != self._count - 1:
            raise ParseError(
                f"audit EXECVE record: expected a piece of a{self._count - 1}, got {name[:40]!r}"
            )
        self._extend(value_bytes(value))
        self._open_left = max(0, self._open_left - len(value.strip(b'"')))

    def _begin(self, number: bytes, part: bytes) -> None:
        if number != b"%d" % self._count or self._count >= self._expected:
            raise ParseError(
                f"audit EXECVE record: expected a{self._count} of {self._expected} arguments, "
                f"got {part[:40]!r}"
            )
        if self.size <= MAX_COMMAND_LINE_BYTES:
            self.kept.append(b"")
            self.size += 1
        self._count += 1

    def _extend(self, value: bytes) -> None:
        if self.size <= MAX_COMMAND_LINE_BYTES:
            self.kept[-1] += value[: MAX_COMMAND_LINE_BYTES - self.size]
            self.size += len(value)


def value_bytes(value: bytes, offset: int = 0) -> bytes:
    """Decode a value that the kernel quoted or wrote in hex; (null) and (none) are empty.

    Args:
        offset: where it stands, for the error.

    Raises:
        ParseError: it is neither.
    """
    if value[:1] == b'"':
        if len(value) < 2 or value[-1] != _QUOTE:  # noqa: PLR2004 - two quotes
            raise ParseError(f"audit value: expected a closing quote, got {value[:40]!r}", offset)
        return value[1:-1]
    if value[:1] == b"(":
        return b""
    try:
        # Through text: bytes.fromhex takes only a str until Python 3.14.
        return bytes.fromhex(value.decode("ascii"))
    except ValueError as error:
        raise ParseError(
            f"audit value: expected quotes or an even number of hex digits, got {value[:40]!r}",
            offset,
        ) from error


def _number(value: bytes, part: bytes) -> int:
    if not value.isdigit() or len(value) > 10:  # noqa: PLR2004 - 32 bits in decimal
        raise ParseError(f"audit EXECVE record: expected a number, got {part[:40]!r}")
    return int(value)
