"""What `vedette enroll` says about this one device, beside the configuration that all of them have.

Rule 1: `enrolled.toml` lies beside the configuration, has some of its tables and keys, and goes
before it; so a package can replace the configuration without asking what this device is called.
Rule 2: it is read by the configuration's own reader: the same mistakes are told in the same words.
Rule 3: whoever says `enabled` in the configuration has the last word about that.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING

from vedette.errors import ConfigError

if TYPE_CHECKING:
    from vedette.daemon.config import Config

NAME = "enrolled.toml"
KEYS: Mapping[str, tuple[str, ...]] = {
    "device": ("id", "tenant", "class", "groups"),
    "uplink": ("enabled", "host", "port", "ca", "certificate", "key"),
    "updates": ("source", "ca"),
}
"""All that may stand in it: who the device is, and whom it speaks to."""

Tables = Mapping[str, Mapping[str, object]]

_HEAD = (
    "# Written by `vedette enroll`; goes before vedette.toml. Change it with `vedette enroll`.\n"
)


def check(document: Mapping[str, object], name: str) -> None:
    """Refuse what only the configuration itself may say.

    Args:
        document: the file, read as TOML and found to be a configuration.
        name: of the file, for messages.

    Raises:
        ConfigError: one line for each key that does not belong there.
    """
    lines = []
    for table, content in document.items():
        keys = content if isinstance(content, dict) else {}
        known = KEYS.get(table, ())
        for key in keys if known else [table]:
            if key not in known:
                words = ", ".join(known) if known else ", ".join(f"[{one}]" for one in KEYS)
                place = f"[{table}] {key}" if known else f"[{table}]"
                lines.append(
                    f"{name}: {place}: expected {words}; put it into the configuration beside it"
                )
    if lines:
        raise ConfigError("\n".join(lines))


def overlaid(base: Config, own: Config, base_given: Tables, own_given: Tables) -> Config:
    """A configuration with the keys of the device's own before its own.

    Args:
        base: the configuration, and `base_given` its tables as the file has them.
        own: the device's own file read as a configuration, and `own_given` its tables.
    """
    changed: dict[str, object] = {}
    for table, given in own_given.items():
        section, ours = getattr(base, table), getattr(own, table)
        fields = [f"{key}_" if iskeyword(key) else key for key in given if key != "enabled"]
        if hasattr(section, "enabled") and "enabled" not in base_given.get(table, {}):
            fields.append("enabled")
        changed[table] = dataclasses.replace(
            section, **{name: getattr(ours, name) for name in fields}
        )
    return dataclasses.replace(base, **changed)  # type: ignore[arg-type] # each by its own class


def render(tables: Tables) -> str:
    """The text of the file; tables without keys are left out."""
    parts = [
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
        if table
    ]
    return _HEAD + "\n".join(parts)


def _toml(value: object) -> str:
    """Texts, whole numbers, booleans and lists of them are JSON's (TOML 1.0 "String", "Array")."""
    return json.dumps(value, ensure_ascii=False)
