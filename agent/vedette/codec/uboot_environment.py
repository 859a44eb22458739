"""U-Boot's environment as fw_printenv(8) prints it and as fw_setenv(8) reads it from a script.

Rule 1: a script has lines of name=value; libubootenv silently ignores "name value" (0.3.2), and a
name without a value is removed.
Rule 2: values of several lines cannot be told from variables in what is printed: whoever reads
takes the names it knows and passes over the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vedette.errors import ParseError

MAX_BYTES = 1 << 20
"""Environments have 4 to 128 KB; more than this was not printed by fw_printenv."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[ -~]*")


def decode(text: str) -> dict[str, str]:
    """What was printed, by name.

    Raises:
        ParseError: it is far too long.
    """
    if len(text) > MAX_BYTES:
        raise ParseError(f"expected at most {MAX_BYTES} characters of environment, got {len(text)}")
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value for name, equals, value in pairs if equals and _NAME.fullmatch(name)}


def script(changes: Mapping[str, str]) -> bytes:
    """What fw_setenv -s reads; "" removes a variable.

    Raises:
        ParseError: a name or value cannot stand in a script.
    """
    for name, value in changes.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ParseError(
                f"expected a name and printable ASCII, got {name[:60]!a}={value[:60]!a}"
            )
    return "".join(f"{name}={value}\n" for name, value in changes.items()).encode()
