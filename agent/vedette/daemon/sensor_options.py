"""The [sensors] table: which sources may not be used, and the options of the others.

Rule 1: a source is a file in sensors/; the folder is listed and nothing of it imported, since the
uplink and the keeper read the configuration too.
Rule 2: a source's options stand here, so that a mistake in them is told with file and line before
anything starts; a source without options needs no entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias, cast

from vedette import sensors as sensor_package
from vedette.daemon.schema import (
    Choice,
    Flag,
    Kind,
    Many,
    Mistake,
    Number,
    Text,
    describe,
    read_table,
    unknown,
)
from vedette.ports.discover import module_names

SENSOR_OPTIONS: Mapping[str, Mapping[str, Kind[object]]] = {
    "ebpf": {
        "ring_kb": Number(64, 65536),
        "calls": Flag(),
        "environment": Many(Text(r"[^,=\x00\n]{1,64}", "a name without commas and ="), 0, 16),
    },
    "proc_connector": {"realtime": Flag()},
    "procfs": {"period_s": Number(1, 3600)},
    "scan": {"every_h": Number(1, 24 * 366)},
    "log_file": {
        "paths": Many(Text(r"/[^,\x00]{1,1000}", "an absolute path without commas"), 1, 32)
    },
}

Options: TypeAlias = Mapping[str, int | str | bool]


@dataclasses.dataclass(frozen=True, slots=True)
class Sensors:
    """The checked table.

    Attributes:
        disable: names of sources that may not be used.
        options: by the name of the source; a list of texts is one text with commas.
    """

    disable: tuple[str, ...] = ()
    options: Mapping[str, Options] = dataclasses.field(default_factory=dict)


ALL_SENSORS = Sensors()


def sensor_names() -> list[str]:
    """The sources there are, from their folder, without importing one."""
    return sorted({*module_names(sensor_package), *SENSOR_OPTIONS})


def read_sensors(table: object, mistakes: list[Mistake]) -> Sensors:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    if not isinstance(table, dict):
        mistakes.append(Mistake(("sensors",), f"expected a table, got {describe(table)}"))
        return Sensors()
    names = sensor_names()
    disable = Many(Choice(tuple(names)), 0, len(names))
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    read = read_table(plain, ("sensors",), {"disable": disable}, mistakes)
    options: dict[str, Options] = {}
    for name, value in table.items():
        if not isinstance(value, dict):
            continue
        if name not in names:
            mistakes.append(Mistake(("sensors", name), unknown("sensor", name, names)))
            continue
        taken = SENSOR_OPTIONS.get(name, {})
        options[name] = _flat(read_table(value, ("sensors", name), taken, mistakes))
    return Sensors(disable=cast("tuple[str, ...]", read.get("disable", ())), options=options)


def _flat(options: dict[str, object]) -> Options:
    """Options as a sensor gets them: a list of texts becomes one text with commas."""
    return {
        name: ",".join(value) if isinstance(value, tuple) else cast("int | str | bool", value)
        for name, value in options.items()
    }
