"""Fuzzes what boot loaders and their tools say: GRUB's block, U-Boot's variables, RAUC's status."""

from __future__ import annotations

from vedette.codec import grub_environment, rauc_status, uboot_environment
from vedette.errors import ParseError

SEEDS = (
    grub_environment.encode({"vedette_slot": "a", "vedette_trial": "b\\\n"}),
    b"bslot=a\ntslot=b\ntries=3\n",
    b'{"booted":"A","boot_primary":"r.0","slots":[{"r.0":{"bootname":"A","boot_status":"good"}}]}',
)


def target(data: bytes) -> None:
    """Any bytes give values or a ParseError; a block that was read is written as it reads."""
    text = data.decode("utf-8", "replace")
    for name in uboot_environment.decode(text[: uboot_environment.MAX_BYTES]):
        if not name.isascii() or "\n" in name:
            raise AssertionError(f"{name!a} is no name")
    try:
        status = rauc_status.decode(text)
    except ParseError:
        pass
    else:
        if status.booted not in {slot.bootname for slot in status.slots}:
            raise AssertionError(f"{status.booted!a} is no slot")
    try:
        values = grub_environment.decode(data)
        again = grub_environment.encode(values)
    except ParseError:
        return
    if grub_environment.decode(again) != values:
        raise AssertionError(f"{values} does not come back")
