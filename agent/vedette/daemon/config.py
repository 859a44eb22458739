"""The configuration: a file (config_text.py) in, one frozen Config out, or every mistake in it.

Rule 1: applied wholly or not at all: there is no half-read Config.
Rule 2: each key is written once, here; packaging/vedette.toml explains all of them.
Rule 3: no secret stands in the file, only paths of files that hold secrets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, cast

from vedette.codec.text import escape
from vedette.daemon import config_text, enrolled
from vedette.daemon.device_id import derived_device_id
from vedette.daemon.essential_options import NOTHING_ESSENTIAL, Essential, read_essential
from vedette.daemon.firmware_options import NO_FIRMWARE, Firmware, read_firmware
from vedette.daemon.model_options import NO_MODELS, Models, read_models
from vedette.daemon.response_options import ALL_RESPONSES, Response, read_response
from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Flag,
    Many,
    Mistake,
    Number,
    Text,
    kinds,
    read_section,
    setting,
    unknown,
)
from vedette.daemon.sensor_options import ALL_SENSORS, Sensors, read_sensors
from vedette.daemon.update_options import NO_UPDATES, Updates, read_updates
from vedette.daemon.uplink_options import NO_UPLINK, Uplink, read_uplink

LONGEST_RUN_DIR = 80
"""unix(7): a socket's path has at most 107 bytes, and ours are named below this folder."""

_FIRMWARE = Text(
    r"(?=\S)[^\x00-\x1f\x7f]{0,127}\S|", "a name and version of at most 128 characters"
)
_CLASS = Text(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?",
    "nothing, or 1 to 64 letters, digits, dots, _ and - (a letter or digit first)",
)
_SEGMENT = Text(
    r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", "1 to 64 characters a-z, 0-9 and inner hyphens"
)
_FILE = AbsolutePath()
_TREES = Many(AbsolutePath(), 1, 256)

WATCHED = (
    "/etc",
    "/root",
    "/home",
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/lib",
    "/usr/lib/systemd",
    "/usr/local",
    "/opt",
    "/var/spool/cron",
    "/tmp",  # noqa: S108 (watched, not written)
    "/var/tmp",  # noqa: S108 (watched, not written)
    "/dev/shm",  # noqa: S108 (watched, not written)
)
"""Where persistence and dropped programs appear on routers and cameras."""


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """Who this device is in the fleet.

    Attributes:
        id: with the tenant a level of the MQTT topic.
        class_: `class` in the file: which of the rules' filters for kinds of devices are for it.
        firmware: what runs on it, for profiles; "" takes it from os-release(5).
        groups: which operators' commands for many devices are for this one too.
    """

    id: str = setting(_SEGMENT, "")
    tenant: str = setting(_SEGMENT, "default")
    class_: str = setting(_CLASS, "")
    firmware: str = setting(_FIRMWARE, "")
    groups: tuple[str, ...] = setting(Many(_SEGMENT, 0, 16), ())


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """`state` is kept, `run` is gone after a reboot; both are made with mode 0700."""

    state: str = setting(AbsolutePath(), "/var/lib/vedette")
    run: str = setting(AbsolutePath(longest=LONGEST_RUN_DIR), "/run/vedette")


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Which trees are watched; those that do not exist are skipped and named by doctor."""

    watch: tuple[str, ...] = setting(_TREES, WATCHED)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """The signed bundle and profile, and the trust document that names the keys to sign them.

    Attributes:
        profile: where a profile is offered, if there is one; "" uses none, not even a kept one.
    """

    bundle: str = setting(_FILE, "/var/lib/vedette/rules.bundle")
    profile: str = setting(AbsolutePath(is_optional=True), "/var/lib/vedette/device.profile")
    trust: str = setting(_FILE, "/etc/vedette/trust.json")


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The device's signing key; read by the sentinel alone."""

    key: str = setting(_FILE, "/var/lib/vedette/identity.key")


@dataclasses.dataclass(frozen=True, slots=True)
class Journal:
    """How much flash the journal may take."""

    max_mb: int = setting(Number(1, 4096), 16)


@dataclasses.dataclass(frozen=True, slots=True)
class Incidents:
    """An incident is closed after `quiet_s` seconds without a finding."""

    quiet_s: int = setting(Number(5, 86_400), 300)


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """How many commands may talk to the sentinel at once."""

    max_clients: int = setting(Number(1, 64), 8)


@dataclasses.dataclass(frozen=True, slots=True)
class Deny:
    """Denying executions before they happen: opt-in, since every one is then asked about once.

    Attributes:
        trees: the file systems that hold them, and those mounted below, are watched.
        unknown: what happens to programs of neither the baseline nor the signed profile.
        essential: programs that are never denied, besides those a device is reached with.
    """

    enabled: bool = setting(Flag(), default=False)
    trees: tuple[str, ...] = setting(_TREES, ("/",))
    unknown: Literal["allow", "observe", "deny"] = cast(
        "Literal['allow', 'observe', 'deny']",
        setting(Choice(("allow", "observe", "deny")), "allow"),
    )
    essential: tuple[str, ...] = setting(Many(AbsolutePath(), 0, 256), ())


@dataclasses.dataclass(frozen=True, slots=True)
class Drill:
    """Minutes between two drills; 0 makes none but those that somebody asks for."""

    every_m: int = setting(Number(0, 10_080), 60)


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """All that a person decides about this device's agent."""

    device: Device = Device()
    paths: Paths = Paths()
    files: Files = Files()
    sensors: Sensors = ALL_SENSORS
    rules: Rules = Rules()
    uplink: Uplink = NO_UPLINK
    identity: Identity = Identity()
    journal: Journal = Journal()
    incidents: Incidents = Incidents()
    control: Control = Control()
    deny: Deny = Deny()
    essential: Essential = NOTHING_ESSENTIAL
    drill: Drill = Drill()
    response: Response = ALL_RESPONSES
    updates: Updates = NO_UPDATES
    models: Models = NO_MODELS
    firmware: Firmware = NO_FIRMWARE

    @property
    def control_socket(self) -> Path:
        """Where the command line reaches the sentinel."""
        return Path(self.paths.run) / "control.sock"

    @property
    def deny_socket(self) -> Path:
        """Where a response asks for a ban."""
        return Path(self.paths.run) / "deny.sock"

    @property
    def update_request(self) -> Path:
        """What asks for an update: whoever keeps the agent starts one when it is there."""
        return Path(self.paths.run) / "update.request"

    @property
    def update_reached(self) -> Path:
        """Touched by each update that went as it should: the schedule slows down without."""
        return Path(self.paths.run) / "update.reached"

    @property
    def updates_folder(self) -> Path:
        """What the processes of an update keep."""
        return Path(self.paths.state) / "updates"

    @property
    def firmware_folder(self) -> Path:
        """What is kept about firmware: its record, boot loader's notes, manifests."""
        return self.updates_folder / "firmware"

    @property
    def uplink_socket(self) -> Path:
        """Where the uplink reaches the sentinel."""
        return Path(self.paths.run) / "uplink.sock"


_READERS: Mapping[str, Callable[[object, list[Mistake]], object]] = {
    "sensors": read_sensors,
    "response": read_response,
    "essential": read_essential,
    "updates": read_updates,
    "uplink": read_uplink,
    "models": read_models,
    "firmware": read_firmware,
}
"""Of tables that are more than keys, each with a kind of its own."""


def load(path: Path) -> Config:
    """Read the configuration, and what `vedette enroll` wrote beside it (daemon/enrolled.py).

    A device without an id gets one derived from /etc/machine-id.

    Raises:
        ConfigError: a file cannot be read or used; one line for each mistake.
    """
    config = load_unnamed(path)
    if config.device.id:
        return config
    device = dataclasses.replace(config.device, id=derived_device_id())
    return dataclasses.replace(config, device=device)


def load_unnamed(path: Path) -> Config:
    """As `load`, but a device without an id has none: where an image is made, there is no device.

    Raises:
        ConfigError: as `load`.
    """
    return _with_enrolled(path, config_text.read(path))


def enrolled_file(path: Path) -> Path:
    """Where what is this device's own stands, beside a configuration."""
    return path.with_name(enrolled.NAME)


def read_enrolled(path: Path) -> tuple[Config, dict[str, dict[str, object]]]:
    """The device's own keys as a configuration, and as the file has them; nothing without a file.

    Raises:
        ConfigError: the file cannot be read or used; one line for each mistake.
    """
    if not path.exists():
        return Config(), {}
    text = config_text.read(path)
    config, document = parse(text, str(path)), config_text.document(text, str(path))
    enrolled.check(document, str(path))
    return config, cast("dict[str, dict[str, object]]", document)


def _with_enrolled(path: Path, text: str) -> Config:
    base = parse(text, str(path))
    own, given = read_enrolled(enrolled_file(path))
    if not given:
        return base
    tables = cast("dict[str, dict[str, object]]", config_text.document(text, str(path)))
    return enrolled.overlaid(base, own, tables, given)


def parse(text: str, name: str) -> Config:
    """Read the text of a configuration.

    Args:
        text: TOML 1.0.
        name: of the file, for messages.

    Raises:
        ConfigError: one line `file:line:column: ...` for each mistake, in the order of the file.
    """
    mistakes: list[Mistake] = []
    config = _read(config_text.document(text, name), mistakes)
    if mistakes:
        raise config_text.refusal(text, name, mistakes)
    return config


def _read(document: dict[str, object], mistakes: list[Mistake]) -> Config:
    sections: dict[str, object] = {}
    known = {field.name: type(field.default) for field in dataclasses.fields(Config)}
    for name, table in document.items():
        if name not in known:
            mistakes.append(Mistake((name,), _unknown_table(name, table, known)))
        elif name in _READERS:
            sections[name] = _READERS[name](table, mistakes)
        else:
            sections[name] = read_section(known[name], table, (name,), mistakes)
    return Config(**sections)  # type: ignore[arg-type] # each section was made by its own class


def _unknown_table(name: str, value: object, known: Mapping[str, type]) -> str:
    if isinstance(value, dict):
        return unknown("table", name, known)
    homes = [table for table, section in known.items() if name in kinds(section)]
    if homes:
        return f'"{escape(name)[:60]}" stands outside its table: put it below [{homes[0]}]'
    return unknown("key", name, known)
