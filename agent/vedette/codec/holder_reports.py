"""What holder and guardian tell the sentinel: one message per datagram.

Rule 1: whoever is judged chooses paths: they come last, are bytes as the kernel has them, and may
hold anything.
Rule 2: any bytes give a value or ParseError; no typing here (see model/denial.py).
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 (the library's name is in lower case)

from vedette.errors import ParseError
from vedette.model.denial import (
    BY_DIGEST,
    BY_PATH,
    OVERLOADED,
    UNLISTED,
    UNLISTED_OBSERVED,
    UNTOLD,
)

MESSAGE_BYTES = 8192
"""A path has at most 4,096 bytes (PATH_MAX), and what we say ourselves less."""

IN_USE, DENIED, LATE, GAP, FREED, ALIVE, REFUSED = b"KDLGFA!"
_IN_USE = Struct("=BIIB")
_DECISION = Struct("=BBiIQ32s")
_GAP = Struct("=BBI")
_FREED = Struct("=BIII")
_ALIVE = Struct("=BIQQQQ")


class InUse:
    """The lists of a generation count; `marked` file systems are watched, `problems` are not."""

    __slots__ = ("generation", "is_cached", "marked", "problems")

    def __init__(self, generation: int, marked: int, problems: str, *, is_cached: bool) -> None:
        self.generation = generation
        self.marked = marked
        self.problems = problems
        self.is_cached = is_cached


class Decision:
    """An execution that was denied, or should have been.

    Attributes:
        reason: BY_DIGEST, BY_PATH, UNLISTED or UNLISTED_OBSERVED.
        is_late: it ran: its content was known only after.
        pid: whose execve it was; that process goes on with its old program.
        count: how often since the last time this file was told of.
        size: of the file in bytes.
        digest: SHA-256, zeros where nobody had to read the file.
    """

    __slots__ = ("count", "digest", "is_late", "path", "pid", "reason", "size")

    def __init__(
        self, reason: int, pid: int, count: int, size: int, digest: bytes, path: str,
        *, is_late: bool,
    ) -> None:  # fmt: skip
        self.reason = reason
        self.is_late = is_late
        self.pid = pid
        self.count = count
        self.size = size
        self.digest = digest
        self.path = path


class Gap:
    """Executions that were allowed without being judged; `reason` as model/denial.py has it."""

    __slots__ = ("count", "reason")

    def __init__(self, reason: int, count: int) -> None:
        self.reason = reason
        self.count = count


class Freed:
    """The guardian let everybody go and ended the holder.

    Attributes:
        unread: executions that nobody had looked at.
        unanswered: executions that the holder had read and not answered.
        took_us: microseconds from the guardian's decision to the last answer.
        why: what it saw.
    """

    __slots__ = ("took_us", "unanswered", "unread", "why")

    def __init__(self, unread: int, unanswered: int, took_us: int, why: str) -> None:
        self.unread = unread
        self.unanswered = unanswered
        self.took_us = took_us
        self.why = why


class Alive:
    """The answer to a question: what the holder has decided since its start.

    Attributes:
        asked: executions that waited for an answer.
        hashed: files read whole for one.
        kept: files whose next executions the kernel lets pass by itself.
    """

    __slots__ = ("asked", "denied", "hashed", "kept", "ticket")

    def __init__(self, ticket: int, asked: int, denied: int, hashed: int, kept: int) -> None:
        self.ticket = ticket
        self.asked = asked
        self.denied = denied
        self.hashed = hashed
        self.kept = kept


class Refused:
    """The kernel gives no group; the holder ends."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def encode_report(report: object) -> bytes:
    """One datagram."""
    if isinstance(report, InUse):
        head = _IN_USE.pack(IN_USE, report.generation, report.marked, report.is_cached)
        return _limited(head, report.problems)
    if isinstance(report, Decision):
        head = _DECISION.pack(
            LATE if report.is_late else DENIED, report.reason, report.pid, report.count,
            report.size, report.digest,
        )  # fmt: skip
        return _limited(head, report.path)
    if isinstance(report, Gap):
        return _GAP.pack(GAP, report.reason, report.count)
    if isinstance(report, Freed):
        head = _FREED.pack(FREED, report.unread, report.unanswered, report.took_us)
        return _limited(head, report.why)
    if isinstance(report, Alive):
        return _ALIVE.pack(
            ALIVE, report.ticket, report.asked, report.denied, report.hashed, report.kept
        )
    if isinstance(report, Refused):
        return _limited(bytes((REFUSED,)), report.why)
    raise TypeError(f"expected a report, got {report!r}")


def parse_report(message: bytes) -> InUse | Decision | Gap | Freed | Alive | Refused:
    """Read one datagram.

    Raises:
        ParseError: it is none of ours.
    """
    try:
        return _parse(message)
    except (StructError, IndexError) as error:
        raise ParseError(f"expected a whole report, got {error}", len(message)) from error


def _parse(message: bytes) -> InUse | Decision | Gap | Freed | Alive | Refused:
    tag = message[0]
    if tag == IN_USE:
        _, generation, marked, is_cached = _IN_USE.unpack_from(message)
        problems = _text(message[_IN_USE.size :])
        return InUse(generation, marked, problems, is_cached=bool(is_cached))
    if tag in {DENIED, LATE}:
        return _decision(message, is_late=tag == LATE)
    if tag == GAP:
        _, reason, count = _GAP.unpack(message)
        if not OVERLOADED <= reason <= UNTOLD:
            raise ParseError(f"expected a gap's reason of 1 to 5, got {reason}", 1)
        return Gap(reason, count)
    if tag == FREED:
        _, unread, unanswered, took_us = _FREED.unpack_from(message)
        return Freed(unread, unanswered, took_us, _text(message[_FREED.size :]))
    if tag == ALIVE:
        return Alive(*_ALIVE.unpack(message)[1:])
    if tag == REFUSED:
        return Refused(_text(message[1:]))
    raise ParseError(f"expected one of the tags KDLGFA!, got {message[:1]!r}")


def _decision(message: bytes, *, is_late: bool) -> Decision:
    _, reason, pid, count, size, digest = _DECISION.unpack_from(message)
    if reason not in {BY_DIGEST, BY_PATH, UNLISTED, UNLISTED_OBSERVED}:
        raise ParseError(f"expected a decision's reason of 1 to 4, got {reason}", 1)
    path = _text(message[_DECISION.size :])
    return Decision(reason, pid, count, size, digest, path, is_late=is_late)


def _limited(head: bytes, text: str) -> bytes:
    return (head + text.encode("utf-8", "surrogateescape"))[:MESSAGE_BYTES]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
