"""Which outbox entries still wait for delivery, in 16 bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_right


class Pending:
    """Outbox entries not yet delivered: sequence and position of each, in order."""

    def __init__(self) -> None:
        self._sequences = array("Q")
        self._positions = array("Q")

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, sequence: int, position: int) -> None:
        """Remember an entry; sequences and positions grow."""
        self._sequences.append(sequence)
        self._positions.append(position)

    def deliver(self, sequence: int) -> int:
        """Forget all up to a sequence; returns how many those were."""
        count = bisect_right(self._sequences, sequence)
        del self._sequences[:count]
        del self._positions[:count]
        return count

    def fold(self, sequences: set[int]) -> None:
        """Forget those whose body was dropped."""
        kept = [place for place, found in enumerate(self._sequences) if found not in sequences]
        self._sequences = array("Q", (self._sequences[place] for place in kept))
        self._positions = array("Q", (self._positions[place] for place in kept))

    def position_after(self, sequence: int) -> int | None:
        """Where the first one above a sequence lies; None when there is none."""
        place = bisect_right(self._sequences, sequence)
        return self._positions[place] if place < len(self._positions) else None
