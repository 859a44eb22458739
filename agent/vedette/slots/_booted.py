"""Which slot runs, as the boot loader told the kernel: a word of the kernel's command line."""

from __future__ import annotations

import re
from pathlib import Path

from vedette.errors import SlotError

COMMAND_LINE = Path("/proc/cmdline")
_MAX_BYTES = 64 << 10


def booted_slot(parameter: str, slots: tuple[str, str], command_line: str = "") -> str:
    """The slot that the kernel was started with.

    Args:
        parameter: its name on the command line, such as "slot" or "rauc.slot".
        slots: the names of both.
        command_line: a file to read instead of the kernel's, "" for the kernel's.

    Raises:
        SlotError: the command line names neither, or both.
    """
    path = Path(command_line) if command_line else COMMAND_LINE
    try:
        with path.open("rb") as file:
            words = file.read(_MAX_BYTES).decode("utf-8", "replace").split()
    except OSError as error:
        raise SlotError(f"{path}: cannot be read: {error.strerror}") from error
    found = {word.partition("=")[2] for word in words if word.startswith(f"{parameter}=")}
    if len(found) != 1 or not found <= set(slots):
        named = ", ".join(sorted(found)) or "nothing"
        raise SlotError(
            f"{path}: expected {parameter}={slots[0]} or {parameter}={slots[1]}, got "
            f"{re.sub(r'[^ -~]', '?', named)[:80]}; the boot script must pass it to the kernel"
        )
    return found.pop()
