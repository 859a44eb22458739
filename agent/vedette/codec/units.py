"""Units of systemd in text: their names, and what `systemctl show` says of one.

Rule 1: a name from outside is read here before it is ever part of an argument list: one that
begins with a hyphen would be an option.
Rule 2: what systemctl says is input like any other: a value or a ParseError, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from vedette.codec.text import quoted
from vedette.errors import ParseError

MAX_NAME_CHARS = 255
"""systemd.unit(5), "Description"."""

STOPPABLE = ("service", "socket", "timer", "path")
"""What runs a program or begins one; mounts, slices, scopes and targets hold a device together."""

PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "InvocationID", "MainPID", "ControlGroup",
    "TriggeredBy", "CanStart", "CanStop",
)  # fmt: skip
"""org.freedesktop.systemd1(5), "Properties" of units and services; sockets have no MainPID."""

_MAY_LACK = frozenset({"MainPID", "ControlGroup"})
_NAME = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_:.\\-]*(@[A-Za-z0-9_:.\\-]+)?\.([a-z]+)")
_ACTIVE = frozenset({"active", "reloading", "activating", "refreshing"})


class UnitState(NamedTuple):
    """A unit as its manager has it.

    Attributes:
        unit: its first name; what was asked for may have been an alias of it.
        load: "loaded", or why it cannot be used: "not-found", "masked", "bad-setting", "error".
        active: "active", "inactive", "failed", "activating", "deactivating", "reloading".
        sub: finer, such as "running", "auto-restart", "dead".
        invocation: changes at each start, "" while it never ran.
        main_pid: 0 where there is none.
        control_group: path below the hierarchy's root, "" where it has none.
        triggers: units that would start it again, such as its socket.
    """

    unit: str
    load: str
    active: str
    sub: str
    invocation: str
    main_pid: int
    control_group: str
    triggers: tuple[str, ...]
    can_start: bool
    can_stop: bool

    @property
    def is_up(self) -> bool:
        """Whether it does its work; one that waits for its next restart does not."""
        return self.active in {"active", "reloading", "refreshing"}

    @property
    def is_wanted_up(self) -> bool:
        """Whether its manager runs it or is about to."""
        return self.active in _ACTIVE

    @property
    def is_down(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.active in {"inactive", "failed"}


def unit_name(text: str) -> str:
    """Read the full name of one unit that can be stopped.

    Returns:
        The text as it came.

    Raises:
        ParseError: it is no such name (systemd.unit(5)).
    """
    found = _NAME.fullmatch(text) if len(text) <= MAX_NAME_CHARS else None
    if found is None:
        raise ParseError(f'expected a unit\'s name such as "httpd.service", got {quoted(text)}')
    if found[2] not in STOPPABLE:
        kinds = ", ".join(f".{kind}" for kind in STOPPABLE)
        raise ParseError(f"expected a unit that ends in one of {kinds}, got {quoted(text)}")
    return text


def parse_state(text: str) -> UnitState:
    """Read what `systemctl show --property=...` says of one unit, for PROPERTIES.

    Raises:
        ParseError: a property is missing, there twice, or not as systemd writes it.
    """
    given = _properties(text)
    missing = [name for name in PROPERTIES if name not in given and name not in _MAY_LACK]
    if missing:
        raise ParseError(f"expected the properties {', '.join(missing)}, got {sorted(given)}")
    return UnitState(
        unit=given["Id"],
        load=given["LoadState"],
        active=given["ActiveState"],
        sub=given["SubState"],
        invocation=given["InvocationID"],
        main_pid=_number(given.get("MainPID", "0")),
        control_group=given.get("ControlGroup", ""),
        triggers=tuple(given["TriggeredBy"].split()),
        can_start=_flag(given, "CanStart"),
        can_stop=_flag(given, "CanStop"),
    )


def _properties(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if not line:
            continue
        if not equals or name not in PROPERTIES:
            raise ParseError(f"expected one of the asked properties, got {quoted(line[:80])}")
        if name in given:
            raise ParseError(f"expected {name} once, got it twice: two units were shown")
        given[name] = value
    return given


def _number(text: str) -> int:
    # isdecimal takes digits of other scripts, and int() of thousands of them raises ValueError.
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    raise ParseError(f"expected a pid as MainPID, got {quoted(text[:80])}")


def _flag(given: Mapping[str, str], name: str) -> bool:
    if given[name] not in {"yes", "no"}:
        raise ParseError(f"expected yes or no as {name}, got {quoted(given[name][:80])}")
    return given[name] == "yes"
