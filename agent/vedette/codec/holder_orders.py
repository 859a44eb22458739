"""What the sentinel tells the holder: lists in pieces, then "use them"; one message per datagram.

Rule 1: lists come whole and in pieces of at most MESSAGE_BYTES; they count from the commit on, so
that there is never a moment with half of them.
Rule 2: any bytes give a value or ParseError; no typing here (see model/denial.py).
Rule 3: paths are bytes as the kernel has them; they are kept apart by NUL, which no path holds.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 (the library's name is in lower case)

from vedette.errors import ParseError
from vedette.model.denial import ALLOW_UNKNOWN, DENY_UNKNOWN, Lists

MESSAGE_BYTES = 32_768
"""A datagram must fit the socket's buffer, of which the kernel gives 212,992 bytes by default."""
MAX_ENTRIES = 262_144
"""Of one list: twice the files of a large system; 10 MB at the worst."""

RESET, COMMIT, ASK = b"R"[0], b"C"[0], b"?"[0]
_DIGESTS = {b"A"[0]: "allowed", b"D"[0]: "denied"}
_PATHS = {
    b"P"[0]: "allowed_paths",
    b"X"[0]: "denied_paths",
    b"E"[0]: "essential",
    b"W"[0]: "watched",
}
_ENTRY = Struct("=Q32s")
_HEAD = Struct("=BI")


def encode_lists(lists: Lists, generation: int) -> list[bytes]:
    """All messages that bring the holder to use these lists, in their order."""
    messages = [_HEAD.pack(RESET, lists.unknown)]
    room = (MESSAGE_BYTES - 1) // _ENTRY.size
    for tag, name in _DIGESTS.items():
        entries = sorted(getattr(lists, name))
        for start in range(0, len(entries), room):
            packed = b"".join(_ENTRY.pack(*entry) for entry in entries[start : start + room])
            messages.append(bytes((tag,)) + packed)
    for tag, name in _PATHS.items():
        messages += _path_messages(tag, sorted(getattr(lists, name)))
    return [*messages, _HEAD.pack(COMMIT, generation)]


def encode_question(ticket: int) -> bytes:
    """Ask for a sign of life; the answer carries the ticket."""
    return _HEAD.pack(ASK, ticket)


class Draft:
    """Lists as they come in, message by message.

    Attributes:
        lists: what is complete after a commit.
    """

    def __init__(self) -> None:
        self.lists = Lists()
        self._unknown = ALLOW_UNKNOWN
        self._sets: dict[str, set[object]] = {}
        self._begin(ALLOW_UNKNOWN)

    def take(self, message: bytes) -> tuple[int, int]:
        """Take one message.

        Returns:
            (COMMIT, generation), (ASK, ticket), or (0, 0) for a part of lists.

        Raises:
            ParseError: it is none of ours; what came before it still stands.
        """
        if not message:
            raise ParseError("expected a message, got nothing")
        tag = message[0]
        if tag in {RESET, COMMIT, ASK}:
            return self._take_head(tag, message)
        if tag in _DIGESTS:
            self._add(_DIGESTS[tag], _digests(message))
        elif tag in _PATHS:
            self._add(_PATHS[tag], _paths(message))
        else:
            raise ParseError(f"expected one of the tags RADPXEWC?, got {message[:1]!r}")
        return 0, 0

    def _take_head(self, tag: int, message: bytes) -> tuple[int, int]:
        try:
            _, number = _HEAD.unpack(message)
        except StructError as error:
            raise ParseError(f"expected {_HEAD.size} bytes, got {len(message)}") from error
        if tag == RESET:
            if number > DENY_UNKNOWN:
                raise ParseError(f"expected a mode for the unknown of 0 to 2, got {number}", 1)
            self._begin(number)
            return 0, 0
        if tag == COMMIT:
            sets = {name: frozenset(found) for name, found in self._sets.items()}
            self.lists = Lists(unknown=self._unknown, **sets)  # type: ignore[arg-type]
            self._begin(ALLOW_UNKNOWN)
        return tag, number

    def _begin(self, unknown: int) -> None:
        self._unknown = unknown
        self._sets = {name: set() for name in (*_DIGESTS.values(), *_PATHS.values())}

    def _add(self, name: str, found: list[object]) -> None:
        known = self._sets[name]
        if len(known) + len(found) > MAX_ENTRIES:
            raise ParseError(f"expected at most {MAX_ENTRIES} entries of {name}, got more")
        known.update(found)


def _digests(message: bytes) -> list[object]:
    if (len(message) - 1) % _ENTRY.size:
        raise ParseError(f"expected entries of {_ENTRY.size} bytes, got {len(message) - 1} bytes")
    return list(_ENTRY.iter_unpack(message[1:]))


def _paths(message: bytes) -> list[object]:
    found: list[object] = []
    for raw in message[1:].split(b"\0"):
        if not raw.startswith(b"/"):
            raise ParseError(f"expected absolute paths, got {raw[:32]!r}", 1)
        found.append(raw.decode("utf-8", "surrogateescape"))
    return found


def _path_messages(tag: int, paths: list[str]) -> list[bytes]:
    messages: list[bytes] = []
    pending: list[bytes] = []
    size = 1
    for path in paths:
        raw = path.encode("utf-8", "surrogateescape")
        if pending and size + len(raw) + 1 > MESSAGE_BYTES:
            messages.append(bytes((tag,)) + b"\0".join(pending))
            pending, size = [], 1
        pending.append(raw)
        size += len(raw) + 1
    if pending:
        messages.append(bytes((tag,)) + b"\0".join(pending))
    return messages
