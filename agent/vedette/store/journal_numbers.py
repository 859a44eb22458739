"""Sequence numbers of the journal's outbox: none is used twice on this device.

Rule: what is in use lies below a reservation in the durable state, and beyond whatever file, tip or
reservation have ever named.
"""

from __future__ import annotations

from vedette.errors import StoreError
from vedette.ports.state import State

BLOCK = 1000
"""Reserved at once: two durable writes for so many entries."""

_RESERVED = "journal.reserved"


class Sequences:
    """Gives them out, one higher than the other.

    Attributes:
        warning: why the last reservation failed, or "".
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._next = 1
        self.warning = ""

    @property
    def newest(self) -> int:
        """The last one that was given out, or is known of; 0 before the first."""
        return self._next - 1

    def take(self) -> int:
        """The next one; what is in use stays below the reservation.

        If the disk refuses it is given out all the same: an alert now is worth more, and the boot
        id and the tip tell two uses apart.
        """
        taken = self._next
        self._next += 1
        if taken > self._state.number(_RESERVED):
            self._reserve(taken)
        return taken

    def go_beyond(self, newest: int) -> None:
        """This one was used somewhere."""
        self._next = max(self._next, newest + 1)

    def skip_reserved(self) -> None:
        """Nobody knows how many of those that are reserved were used."""
        self.go_beyond(self._state.number(_RESERVED))

    def _reserve(self, first: int) -> None:
        try:
            self._state.update({_RESERVED: first - 1 + BLOCK})
            self.warning = ""
        except StoreError as error:
            self.warning = f"sequence numbers could not be reserved: {error}"
