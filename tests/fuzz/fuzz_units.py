"""Fuzzes what systemctl says of a unit: services choose much of what systemd says of them."""

from __future__ import annotations

import contextlib

from vedette.codec.units import parse_state, unit_name
from vedette.errors import ParseError

SEEDS = (
    (
        b"MainPID=56\nControlGroup=/system.slice/a.service\nId=a.service\nTriggeredBy=a.socket\n"
        b"LoadState=loaded\nActiveState=active\nSubState=running\nCanStart=yes\nCanStop=yes\n"
        b"InvocationID=5a407e882f79428387ab7886ea5dd536\n"
    ),
    b"dev-x\\x2dy@1.socket",
)


def target(data: bytes) -> None:
    """Any text gives a state or a ParseError; a name that is taken can be no option and no path."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ParseError):
        parse_state(text)
    try:
        name = unit_name(text)
    except ParseError:
        return
    if name.startswith("-") or "/" in name or name.split() != [name]:
        raise AssertionError(f"{name!r} was taken as a unit's name")
