"""What systemd's units need on this device: the sandbox follows from what is configured.

Each unit of packaging/systemd/ holds what never changes; the drop-in made here gives it the
capabilities, address families and folders of the parts that are enabled, and no others. It is kept
beside the configuration (`FOLDER`), since /etc may be read-only elsewhere; a generator
(packaging/systemd/generator, systemd.generator(7)) shows it to systemd at each start.

Rule 1: a drop-in narrows; without it a unit lets its part do what the default configuration needs.
Rule 2: what was made of another configuration, or by another build of the agent, is never used: the
generator compares `source_digest`, and has them made anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vedette.daemon import assembly, enrolled
from vedette.daemon.config import Config
from vedette.store import durable

SENTINEL: Final = "vedette.service"
UPLINK: Final = "vedette-uplink.service"
REQUESTS: Final = "vedette-update.path"
UPDATE: Final = "vedette-update.service"

FOLDER: Final = "units"
"""Beside the configuration: one file NAME.conf for each unit NAME."""
MAX_BYTES: Final = 16_384
MAX_CONFIGURATION_BYTES: Final = 1 << 20
INTERNET: Final = ("AF_INET", "AF_INET6")
"""Not for the sentinel, but for its short-lived children (the prober, a drill), who inherit what it
may: IPAddressDeny holds all of the unit to this device."""
CHANGES_FILES: Final = frozenset({"dac_override", "fowner"})
"""Who needs these moves or restores files wherever an attacker left them."""

SOURCE: Final = "source"
"""In `FOLDER`: of what its drop-ins were made."""
BUILD: Final = "build"
"""In the folder of the package: which build of the agent it holds."""
CONFIGURATION: Final = ("vedette.toml", enrolled.NAME)
DROP_IN: Final = "50-vedette.conf"

_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.@:+,-]+")
_HEAD: Final = "# Written by `vedette units` from the configuration: change that, not this.\n"


def drop_ins(config: Config) -> dict[str, str]:
    """What each unit needs for a configuration: the text of its drop-in, by its name."""
    return {
        SENTINEL: _text(_wanted(config), _sentinel(config)),
        UPLINK: _text((), [f"User={config.uplink.user}"]),
        UPDATE: _text((), _update(config)),
    }


def source_digest(folder: Path, home: Path) -> str:
    """What drop-ins are made of, as packaging/systemd/generator computes it too.

    Args:
        folder: of the configuration.
        home: of the package; a checkout has no build there.
    """
    digest = hashlib.sha256()
    for file in (home / BUILD, *(folder / name for name in CONFIGURATION)):
        digest.update(durable.read(file, MAX_CONFIGURATION_BYTES) or b"")
    return digest.hexdigest()


def write(config: Config, folder: Path, source: str) -> list[str]:
    """Keep the drop-ins in a folder.

    Args:
        source: as `source_digest` gives it.

    Returns:
        The units whose drop-in is another one now: systemd has to read them anew.

    Raises:
        StoreError: the folder cannot be written.
    """
    changed = stale(config, folder)
    durable.make_missing(folder, 0o755)
    for unit in changed:
        _put(folder / f"{unit}.conf", drop_ins(config)[unit])
    _put(folder / SOURCE, f"{source}\n")
    return changed


def generate(config: Config, folder: Path) -> None:
    """Write the drop-ins where systemd looks for those of a generator (systemd.generator(7))."""
    for unit, text in drop_ins(config).items():
        place = folder / f"{unit}.d" / DROP_IN
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def stale(config: Config, folder: Path) -> list[str]:
    """The units whose drop-in there is not that of this configuration."""
    return [
        unit
        for unit, text in drop_ins(config).items()
        if durable.read(folder / f"{unit}.conf", MAX_BYTES) != text.encode()
    ]


def _put(file: Path, text: str) -> None:
    durable.write(file, text.encode())
    file.chmod(0o644)  # systemd complains about files that not everybody may read


def _wanted(config: Config) -> list[str]:
    """The other units that this device runs, each started and stopped with the sentinel."""
    units = {UPLINK: config.uplink.enabled, REQUESTS: config.updates.enabled}
    return [f"Wants={unit}" for unit, is_wanted in units.items() if is_wanted]


def _sentinel(config: Config) -> list[str]:
    responders = assembly.allowed_responders(config)
    changes_files = any(kind.capabilities >= CHANGES_FILES for kind in responders.values())
    needed = assembly.capabilities(config) | assembly.capabilities_at_start(config)
    lines = [
        *_list("CapabilityBoundingSet", (f"CAP_{name.upper()}" for name in sorted(needed))),
        *_list("RestrictAddressFamilies", ("AF_UNIX", "AF_NETLINK", *INTERNET)),
        *_list("IPAddressAllow", ("localhost", *_probed(config))),
        f"ProtectSystem={_word(not changes_files, 'strict')}",
        f"RestrictSUIDSGID={_word(not changes_files)}",
        f"ProtectControlGroups={_word('freeze' not in responders)}",
        f"RestrictRealtime={_word(not _is_realtime(config))}",
    ]
    if not changes_files:
        lines += _list("ReadWritePaths", map(_quoted, (config.paths.state, config.paths.run)))
    return lines


def _update(config: Config) -> list[str]:
    """Only firmware is written outside the agent's own folders: slots, boot environments."""
    has_firmware = bool(config.firmware.backend)
    models = config.models.folder
    folders = (config.paths.state, config.paths.run, f"-{models}")
    return [
        *_list("ExecStartPre", ("+/bin/mkdir", "-p", _quoted(models).replace("$", "$$"))),
        f"ProtectSystem={_word(not has_firmware, 'strict')}",
        f"DevicePolicy={'auto' if has_firmware else 'closed'}",
        *_list("ReadWritePaths", map(_quoted, folders)),
    ]


def _probed(config: Config) -> Iterable[str]:
    """Addresses elsewhere that probes connect to, from children of the sentinel."""
    functions = (*config.essential.functions, *config.firmware.health)
    return sorted({one.address for one in functions if one.port})


def _is_realtime(config: Config) -> bool:
    return bool(config.sensors.options.get("proc_connector", {}).get("realtime"))


def _word(is_on: bool, on: str = "yes") -> str:  # noqa: FBT001 (a truth value in systemd's words)
    return on if is_on else "no"


def _quoted(path: str) -> str:
    """One word of a unit file (systemd.syntax(7)), in which % begins a specifier."""
    if _PLAIN.fullmatch(path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _list(name: str, words: Iterable[str]) -> tuple[str, str]:
    """The first line empties what the unit has: systemd adds lists up."""
    return f"{name}=", f"{name}={' '.join(words)}"


def _text(unit: Iterable[str], service: Iterable[str]) -> str:
    sections = {"[Unit]": list(unit), "[Service]": list(service)}
    parts = ["\n".join((name, *lines)) for name, lines in sections.items() if lines]
    return _HEAD + "\n\n".join(parts) + "\n"
