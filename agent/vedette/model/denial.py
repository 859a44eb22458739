"""What the holder may let run: the lists that it decides by, and what it tells of its decisions.

Rule: plain classes with slots, no typing, no dataclasses: the holder imports this, and each of
those would cost it more memory than all it does.
"""

from __future__ import annotations

ALLOW_UNKNOWN = 0
"""What is on no list runs."""
OBSERVE_UNKNOWN = 1
"""What is on no list runs, and is told."""
DENY_UNKNOWN = 2
"""What is on no list does not run."""

BY_DIGEST = 1
BY_PATH = 2
UNLISTED = 3
UNLISTED_OBSERVED = 4
"""It ran: unknown files are only observed."""

OVERLOADED = 1
"""Gap: the answer was due before the file could be judged."""
TOO_BIG = 2
"""Gap: too big to be hashed while somebody waits; it is hashed after."""
UNREADABLE = 3
"""Gap: its content could not be read."""
QUEUE_FULL = 4
"""Gap: the kernel let executions pass because too many waited."""
UNTOLD = 5
"""Gap: reports that nobody took in time."""

NO_DIGEST = bytes(32)
"""Where nobody has read the file."""
ANY_SIZE = 0
"""Of a digest whose file's size is not known; nothing of size 0 can be executed."""


class Lists:
    """What to allow and deny, whole: new lists take the place of the ones before.

    Attributes:
        unknown: ALLOW_UNKNOWN, OBSERVE_UNKNOWN or DENY_UNKNOWN.
        allowed: (size in bytes or ANY_SIZE, SHA-256) of files that are known.
        allowed_paths: known files whose content nobody could read.
        denied: as `allowed`, of files that may not run.
        denied_paths: files that may not run, whatever they hold.
        essential: files that are never denied, and whose executions do not even wait.
        watched: directories; the file systems that hold them are watched. Empty: none is.
    """

    __slots__ = (
        "allowed", "allowed_paths", "denied", "denied_paths", "essential", "unknown", "watched",
    )  # fmt: skip

    def __init__(
        self,
        *,
        unknown: int = ALLOW_UNKNOWN,
        allowed: frozenset[tuple[int, bytes]] = frozenset(),
        allowed_paths: frozenset[str] = frozenset(),
        denied: frozenset[tuple[int, bytes]] = frozenset(),
        denied_paths: frozenset[str] = frozenset(),
        essential: frozenset[str] = frozenset(),
        watched: frozenset[str] = frozenset(),
    ) -> None:
        self.unknown = unknown
        self.allowed = allowed
        self.allowed_paths = allowed_paths
        self.denied = denied
        self.denied_paths = denied_paths
        self.essential = essential
        self.watched = watched

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lists) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment] # compared, never a key

    def __repr__(self) -> str:
        return "Lists(" + ", ".join(f"{n}={getattr(self, n)!r}" for n in self.__slots__) + ")"
