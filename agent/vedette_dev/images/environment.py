"""One plain copy of U-Boot's environment, as `env import -c` reads it: CRC-32, then the text.

Rule: there is no flag byte, hence no redundancy of U-Boot's own: which of two copies counts is
decided by packaging/boot/uboot-slots.cmd and agent/vedette/slots/uboot.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from vedette.errors import ParseError
from vedette_dev.images.layout import ENVIRONMENT_BYTES

FACTORY = {"bslot": "a", "rolledback": "0"}
"""Slot a is committed, nothing is on trial."""
_CRC_BYTES = 4


def encode(values: Mapping[str, str]) -> bytes:
    """A copy that holds these variables; an empty value is none.

    Raises:
        ParseError: they do not fit.
    """
    lines = b"".join(
        f"{name}={value}\0".encode("ascii") for name, value in sorted(values.items()) if value
    )
    room = ENVIRONMENT_BYTES - _CRC_BYTES - 1
    if len(lines) > room:
        raise ParseError(f"expected at most {room} bytes of environment, got {len(lines)}")
    data = (lines + b"\0").ljust(ENVIRONMENT_BYTES - _CRC_BYTES, b"\0")
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little") + data


def decode(copy: bytes) -> dict[str, str] | None:
    """What a copy holds; None where its checksum is wrong."""
    data = copy[_CRC_BYTES:ENVIRONMENT_BYTES]
    if zlib.crc32(data).to_bytes(_CRC_BYTES, "little") != copy[:_CRC_BYTES]:
        return None
    lines = data.partition(b"\0\0")[0].split(b"\0")
    pairs = (line.decode("ascii", "replace").partition("=") for line in lines)
    return {name: value for name, _, value in pairs if name}
