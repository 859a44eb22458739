"""Writes the figures of `systemd-analyze security` into agent/docs/units.md.

Rule: the figures are those of the unit files as they are, and of the drop-ins that the agent makes
of a configuration; a test compares the page with them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from vedette.daemon import config, units
from vedette.errors import DeviceError
from vedette_dev.cache import REPOSITORY
from vedette_dev.calls import check

PAGE: Final = REPOSITORY / "agent/docs/units.md"
UNITS: Final = REPOSITORY / "packaging/systemd"
BEGIN, END = "<!-- units: written by `python -m vedette_dev.units_page` -->\n", "<!-- /units -->\n"

CONFIGURATIONS: Final = {
    "as installed": "",
    "no response changes files": '[response]\ndisable = ["freeze", "quarantine", "restore_file"]\n',
    "firmware by U-Boot": '[firmware]\nbackend = "uboot"\n',
}
"""Columns of the table."""

_TIMEOUT_S = 60.0
_FIGURE = re.compile(r"Overall exposure level for \S+: (\d+\.\d)")


def version() -> str:
    """Of systemd-analyze, whose judgement changes with it; "" where there is none."""
    try:
        said = _ask("--version")
    except (OSError, DeviceError):
        return ""
    found = re.match(r"systemd (\d+)", said)
    return found[1] if found else ""


def exposure(unit: str, configuration: str) -> str:
    """How exposed a unit is with the drop-in of a configuration: 0.0 (not) to 10.0.

    Raises:
        DeviceError: systemd-analyze judges nothing.
    """
    drop_in = units.drop_ins(config.parse(configuration, "a column")).get(unit, "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / unit
        file.write_text((UNITS / unit).read_text() + drop_in)
        said = _ask("security", "--offline=yes", "--no-pager", str(file))
    found = _FIGURE.search(said)
    if found is None:
        raise DeviceError(f"{unit}: expected a figure of systemd-analyze, got {said[-200:]!a}")
    return found[1]


def table() -> str:
    """The table of the page."""
    lines = [
        f"| `systemd-analyze security`, systemd {version()} | {' | '.join(CONFIGURATIONS)} |",
        "|---|" + "---|" * len(CONFIGURATIONS),
    ]
    for unit in (units.SENTINEL, units.UPLINK, units.UPDATE):
        figures = [exposure(unit, text) for text in CONFIGURATIONS.values()]
        lines.append(f"| {unit} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page anew."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
    return 0


def _ask(*words: str) -> str:
    return check(["systemd-analyze", *words], _TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
