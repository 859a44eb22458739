"""Fuzzes the record of a firmware on its way."""

from __future__ import annotations

from tests.simulators.images import firmware, image

from vedette.codec.firmware_record import decode, encode
from vedette.errors import ParseError
from vedette.model.firmware import FirmwareRecord, FirmwareState

SEEDS = (
    encode(FirmwareRecord()).encode(),
    encode(
        FirmwareRecord(FirmwareState.TRIAL, release=firmware(image(1, 9000)), slot="b")
    ).encode(),
)


def target(data: bytes) -> None:
    """Any bytes give a record that comes back, or a ParseError."""
    try:
        record = decode(data.decode("utf-8", "replace"))
    except ParseError:
        return
    if decode(encode(record)) != record:
        raise AssertionError(f"{record} does not come back")
