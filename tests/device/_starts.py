"""What a boot loader chose, and our back-ends called in a device."""

from __future__ import annotations

import re

from vedette_dev.guests import Guest

LOADER_S = 60.0
_BACKEND = """
from pathlib import Path
from vedette.ports.slot_backend import SlotContext
from vedette.slots import {name} as module
from vedette.store import durable
backend = module.slot_backend_class(SlotContext(Path("/var/lib/vedette"), durable.write))
print(*({expression},))
"""


def started(guest: Guest) -> tuple[str, str]:
    """Start it until the boot loader has chosen; which slot, and how many tries are left."""
    guest.launch()
    line = guest.await_line(r"vedette: starting slot", LOADER_S)
    guest.power_off()
    found = re.search(r"starting slot (\w), tries (\d?)", line)
    assert found is not None, line
    return found.group(1), found.group(2)


def python(guest: Guest, program: str) -> str:
    """What a program says that the agent's own Python runs in the device."""
    return guest.check(f"/usr/lib/vedette/bin/python3 - <<'END'\n{program}\nEND", deadline_s=120)


def backend(guest: Guest, name: str, expression: str) -> str:
    """What an expression about `backend`, of this name, gives in the device."""
    return python(guest, _BACKEND.format(name=name, expression=expression)).strip()
