"""What is known of the firmware on its way, in two copies (ports.state.State)."""

from __future__ import annotations

from vedette.codec import firmware_record
from vedette.errors import ParseError, StoreError
from vedette.model.firmware import FirmwareRecord
from vedette.ports.state import State

_NAME = "firmware"


class FirmwareStore:
    """One record; calls block on the disk.

    Args:
        state: where it is kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def load(self) -> FirmwareRecord:
        """The record; that of a new device where none was ever kept.

        Raises:
            StoreError: it is there and is none.
        """
        text = self._state.text(_NAME)
        if not text:
            return FirmwareRecord()
        try:
            return firmware_record.decode(text)
        except ParseError as error:
            raise StoreError(f"the record of the firmware cannot be read: {error}") from error

    def save(self, record: FirmwareRecord) -> None:
        """Keep it; when this returns it survives a power cut.

        Raises:
            StoreError: the disk did not take it; the record before stands.
        """
        self._state.update({_NAME: firmware_record.encode(record)})
