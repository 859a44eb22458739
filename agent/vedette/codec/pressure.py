"""How hard a device is pressed for memory: the kernel's two texts about it.

Linux Documentation/accounting/psi.rst and proc_meminfo(5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vedette.errors import ParseError

_FULL = re.compile(r"^full avg10=(\d{1,3}\.\d{2}) ", re.MULTILINE | re.ASCII)
_SIZE = r"^{name}:[ \t]+(\d{{1,18}}) kB$"


class Memory(NamedTuple):
    """What there is, in bytes."""

    total_bytes: int
    available_bytes: int


def parse_stalled(text: str) -> float:
    """The percentage of the last 10 s in which every task waited for memory.

    Args:
        text: of /proc/pressure/memory.

    Raises:
        ParseError: it has no line "full" with an average.
    """
    found = _FULL.search(text)
    if found is None:
        raise ParseError(f"expected a line 'full avg10=', got {text[:80]!a}")
    return float(found[1])


def parse_memory(text: str) -> Memory:
    """What /proc/meminfo says of all memory, and of what programs could still have.

    Raises:
        ParseError: one of the two lines is missing (MemAvailable came with Linux 3.14).
    """
    return Memory(_bytes(text, "MemTotal"), _bytes(text, "MemAvailable"))


def _bytes(text: str, name: str) -> int:
    found = re.search(_SIZE.format(name=name), text, re.MULTILINE | re.ASCII)
    if found is None:
        raise ParseError(f"expected a line {name} in kB, got {text[:80]!a}")
    return int(found[1]) << 10
