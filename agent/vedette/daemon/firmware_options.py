"""The [firmware] table: the boot loader, and when a new firmware may stay.

Rule 1: back-ends are files in slots/; the folder is listed and nothing of it imported, since the
resident processes read the configuration too.
Rule 2: [firmware.slots] holds the back-end's own options as texts; it says which it knows itself.
Rule 3: each table [firmware.health.NAME] is a probe, written like those of [essential]; essential
functions are probed too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from vedette import slots as slot_package
from vedette.codec.text import escape
from vedette.daemon.essential_options import Command, read_functions
from vedette.daemon.schema import (
    Choice,
    Kind,
    Mistake,
    Number,
    Text,
    WrongValueError,
    describe,
    read_section,
    setting,
)
from vedette.model.essential import EssentialFunction
from vedette.ports.discover import module_names

BACKENDS = ("", *module_names(slot_package))
MAX_OPTIONS = 32
MOST_TRIES = 3
"""That of ports/slot_backend.py, which a resident that reads this has no use for."""

_OPTION = re.compile(r"[a-z][a-z0-9_]{0,31}")
_OPTION_VALUE = Text(r"[^\x00-\x1f\x7f]{0,1024}", "text of one line")


class Restart(Kind[tuple[str, ...]]):
    """A command, or none."""

    def read(self, value: object) -> tuple[str, ...]:
        """Accept what `Command` does, and an empty list."""
        return () if value == [] else Command().read(value)


@dataclasses.dataclass(frozen=True, slots=True)
class Firmware:
    """How firmware is put in place, tried and kept.

    Attributes:
        backend: a file of slots/; "": this device takes no firmware.
        settle_s: how long all must hold before a trial is committed.
        trial_s: when a trial in which something does not hold goes back.
        late_s: when a committed firmware goes back within its window, being unwell for so long.
        look_s: seconds between two looks during a trial.
        tries: how many starts the boot loader gives a trial that nobody commits.
        restart: the command that starts the device anew; none: somebody else does.
        slots: options of the back-end.
        health: probes beside the essential functions.
    """

    backend: str = setting(Choice(BACKENDS), "")
    settle_s: int = setting(Number(1, 86_400), 60)
    trial_s: int = setting(Number(10, 86_400), 600)
    late_s: int = setting(Number(10, 86_400), 300)
    look_s: int = setting(Number(1, 600), 10)
    tries: int = setting(Number(1, MOST_TRIES), MOST_TRIES)
    restart: tuple[str, ...] = setting(Restart(), ())
    slots: Mapping[str, str] = dataclasses.field(default_factory=dict)
    health: tuple[EssentialFunction, ...] = ()


NO_FIRMWARE = Firmware()


def read_firmware(table: object, mistakes: list[Mistake]) -> Firmware:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    given = table if isinstance(table, dict) else {}
    plain = {name: value for name, value in given.items() if name not in {"slots", "health"}}
    firmware = read_section(
        Firmware, plain if isinstance(table, dict) else table, ("firmware",), mistakes
    )
    if firmware.settle_s > firmware.trial_s:
        words = f"settle_s: expected at most trial_s ({firmware.trial_s}), got {firmware.settle_s}"
        mistakes.append(Mistake(("firmware", "settle_s"), words))
    return dataclasses.replace(
        firmware,
        slots=_options(given.get("slots", {}), mistakes),
        health=_health(given.get("health", {}), mistakes),
    )


def _options(table: object, mistakes: list[Mistake]) -> dict[str, str]:
    path = ("firmware", "slots")
    if not isinstance(table, dict) or len(table) > MAX_OPTIONS:
        words = f"expected a table of at most {MAX_OPTIONS} texts, got {describe(table)}"
        mistakes.append(Mistake(path, words))
        return {}
    found = {}
    for name, value in table.items():
        try:
            found[name] = _OPTION_VALUE.read(value)
        except WrongValueError as error:
            mistakes.append(Mistake((*path, name), f"{escape(name)[:60]}: {error}"))
        if not _OPTION.fullmatch(name):
            words = f'"{escape(name)[:60]}": expected the name of an option'
            mistakes.append(Mistake((*path, name), words))
    return found


def _health(table: object, mistakes: list[Mistake]) -> tuple[EssentialFunction, ...]:
    if not isinstance(table, dict):
        words = f"expected tables of probes, got {describe(table)}"
        mistakes.append(Mistake(("firmware", "health"), words))
        return ()
    return read_functions(table, ("firmware", "health"), mistakes)
