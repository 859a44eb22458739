"""What is known of the firmware on its way, in two copies (ports.state.State)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vedette.codec import firmware_record
from vedette.codec import state as state_codec
from vedette.errors import ParseError, StoreError
from vedette.model.firmware import FirmwareRecord
from vedette.ports.state import State
from vedette.store import durable
from vedette.store.state import COPIES

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


def peek(folder: Path) -> FirmwareRecord | None:
    """The record as it lies in a folder, for people: nothing is mended, since it may be in use.

    Returns:
        The newer whole copy; None where there is none.
    """
    found: list[tuple[int, FirmwareRecord]] = []
    for name in COPIES:
        with suppress(ParseError, StoreError):
            data = durable.read(folder / name, state_codec.MAX_BYTES)
            if data is not None:
                counter, values = state_codec.decode(data)
                found.append((counter, firmware_record.decode(str(values.get(_NAME, "")))))
    return max(found, key=lambda copy: copy[0])[1] if found else None
