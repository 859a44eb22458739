"""The [updates] table: where releases come from, when they are looked for, and which are taken."""

from __future__ import annotations

import dataclasses
import re

from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Flag,
    Kind,
    Many,
    Mistake,
    Number,
    Text,
    UserName,
    WrongValueError,
    enabled_by,
    read_section,
    setting,
)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KINDS = ("rules", "playbooks", "firmware", "model", "advisories", "operators", "policy", "trust")
"""As model/release.py has them, which nothing resident need import."""

_SOURCE = Text(
    r"|/[^\x00-\x1f\x7f]{0,2000}|(?:https?|file)://[^\x00-\x20\x7f]{1,2000}",
    "nothing, an absolute folder, or a URL of http, https or file",
)
_HARDWARE = Text(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "1 to 64 letters, digits, dots, _ and - (no sign first)"
)
_WINDOW = re.compile(
    r"(?P<days>daily|[a-z]{3}(?:,[a-z]{3}){0,6}) "
    r"(?P<from>[01][0-9]|2[0-3]):(?P<from_min>[0-5][0-9])-"
    r"(?P<to>[01][0-9]|2[0-3]):(?P<to_min>[0-5][0-9])"
)


class WindowText(Kind[str]):
    """A time of the week."""

    def read(self, value: object) -> str:
        """Accept "daily 02:00-05:00" and "sat,sun 22:30-06:00"."""
        if isinstance(value, str) and is_window(value):
            return value
        raise WrongValueError(
            'a window such as "daily 02:00-05:00" or "sat,sun 22:30-06:00"', value
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Updates:
    """How releases reach this device. Unless it is said, enabled where a source is given.

    Attributes:
        source: URL or folder of the repository, which holds metadata/ and targets/.
        ca: certificates to believe instead of the system's, for https.
        root: the root metadata that the device was made with.
        every_m: minutes between two looks, with full jitter; 0 looks only when asked.
        limit_kb_s: kilobytes a second that may be fetched; 0 for no limit.
        hardware: what this device is: firmware and models name what they are for.
        kinds: of releases that are taken.
        windows: when releases may be applied, beside their own; none: at any time.
        user: the updater runs as, when the agent runs as root.
        worker: what is tried before it is used runs as.
    """

    enabled: bool = setting(Flag(), default=False)
    source: str = setting(_SOURCE, "")
    ca: str = setting(AbsolutePath(is_optional=True), "")
    root: str = setting(AbsolutePath(), "/etc/vedette/root.json")
    every_m: int = setting(Number(0, 10_080), 720)
    limit_kb_s: int = setting(Number(0, 10_000_000), 0)
    hardware: tuple[str, ...] = setting(Many(_HARDWARE, 0, 16), ())
    kinds: tuple[str, ...] = setting(Many(Choice(KINDS), 0, len(KINDS)), KINDS)
    windows: tuple[str, ...] = setting(Many(WindowText(), 0, 16), ())
    user: str = setting(UserName(), "vedette-update")
    worker: str = setting(UserName(), "vedette-worker")


NO_UPDATES = Updates()


def read_updates(table: object, mistakes: list[Mistake]) -> Updates:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    updates = read_section(Updates, table, ("updates",), mistakes)
    return enabled_by("source", "a source", updates, table, ("updates",), mistakes)


def is_window(text: str) -> bool:
    """Whether a text is a window of the configuration."""
    found = _WINDOW.fullmatch(text)
    if found is None or (found["from"], found["from_min"]) == (found["to"], found["to_min"]):
        return False
    days = found["days"].split(",")
    return days == ["daily"] or (set(days) <= set(DAYS) and len(set(days)) == len(days))


def read_window(text: str) -> tuple[tuple[int, ...], int, int]:
    """Days (0 is Monday), the minute it opens, and how many it lasts, of a window.

    Args:
        text: that `is_window` accepts.
    """
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a window, got {text!a}")
    names = DAYS if found["days"] == "daily" else found["days"].split(",")
    opens = int(found["from"]) * 60 + int(found["from_min"])
    closes = int(found["to"]) * 60 + int(found["to_min"])
    return tuple(sorted(DAYS.index(name) for name in names)), opens, (closes - opens) % 1440
