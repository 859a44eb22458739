"""Fuzzes the parser of fanotify events."""

from __future__ import annotations

from vedette.codec.fanotify import handle_of, parse_events
from vedette.errors import ParseError

SEEDS = (
    bytes.fromhex(  # mkdir: DFID_NAME and FID, as Linux 6.18 wrote it on ext4
        "5c000000 03001800 00010040 00000000 ffffffff 07000000"
        "02002400 6edfb0a37eb895f0 08000000 01000000 05c00b00 2b1b9bc9 23373730 30353400"
        "01002000 6edfb0a37eb895f0 08000000 01000000 06c00b00 c618207d 00000000"
    ),
    bytes.fromhex("18000000 03001800 00400000 00000000 ffffffff 00000000"),  # Q_OVERFLOW
)
HANDLE_AT = 8  # struct file_handle begins with its length and type


def target(data: bytes) -> None:
    """Any bytes give events or a ParseError within them, and a handle is as long as it says.

    The kernel reads as many bytes of a handle as its head says: a longer claim would let it read
    beyond our memory.
    """
    try:
        events = parse_events(data)
    except ParseError as error:
        if not 0 <= error.offset <= len(data):
            raise AssertionError(f"offset {error.offset} lies outside {len(data)} bytes") from error
        return
    for event in events:
        for key in (event.directory, event.target, event.old_directory):
            handle = handle_of(key)
            if key and int.from_bytes(handle[:4], "little") != len(handle) - HANDLE_AT:
                raise AssertionError(f"a handle claims another length than its own: {handle!r}")
