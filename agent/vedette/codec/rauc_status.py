"""What `rauc status --output-format=json` says, as far as we need it (RAUC 1.8 to 1.15)."""

from __future__ import annotations

from typing import NamedTuple

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError

MAX_BYTES = 64 << 10


class RaucSlot(NamedTuple):
    """A slot that the boot loader can start.

    Attributes:
        name: as RAUC calls it, such as "rootfs.0".
        bootname: as the boot loader calls it, such as "A".
        is_good: the boot loader may start it.
    """

    name: str
    bootname: str
    is_good: bool


class RaucStatus(NamedTuple):
    """The state of a device.

    Attributes:
        booted: bootname of the slot that runs.
        primary: bootname of the slot that is started next, "" where RAUC does not know.
        slots: those with a bootname, by it.
    """

    booted: str
    primary: str
    slots: tuple[RaucSlot, ...]


def decode(text: str) -> RaucStatus:
    """Read it.

    Raises:
        ParseError: it is not such a document.
    """
    document = strict_json.parse(text.strip().encode("utf-8", "replace"), max_bytes=MAX_BYTES)
    if not isinstance(document, dict):
        raise ParseError("expected an object of RAUC's status")
    listed = document.get("slots")
    if not isinstance(listed, list):
        raise ParseError("expected a list of slots")
    slots = [slot for entry in listed for slot in _slots(entry)]
    by_name = {slot.name: slot.bootname for slot in slots}
    booted, primary = document.get("booted"), document.get("boot_primary")
    if booted not in by_name.values():
        raise ParseError(f"expected the booted slot to be one of them, got {quoted(booted)}")
    bootname = by_name.get(primary, "") if isinstance(primary, str) else ""
    return RaucStatus(str(booted), bootname, tuple(sorted(slots, key=lambda slot: slot.bootname)))


def _slots(entry: Json) -> list[RaucSlot]:
    if not isinstance(entry, dict):
        raise ParseError(f"expected a slot by its name, got {quoted(entry)}")
    found = []
    for name, about in entry.items():
        if not isinstance(about, dict):
            raise ParseError(f"expected {quoted(name)} to be an object")
        bootname = about.get("bootname")
        if isinstance(bootname, str) and bootname:
            found.append(RaucSlot(name, bootname, about.get("boot_status") == "good"))
    return found
