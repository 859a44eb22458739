"""Notices that a file of the agent's own is not the one it was.

Rule 1: what counts is identity: where a file lies, whose it is, its mode, size and times. Contents
are not read: ctime cannot be set back without setting the clock, which is told as well.
Rule 2: each change is told once; what is there then is what the next look compares with.
Rule 3: a folder of programs is one number, not one for each of its files, and the file that changed
last is named: a look at 500 files holds 30 numbers in memory and takes about a millisecond.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

UNIT_FOLDERS: Final = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/init.d",
    "/etc/rc.d",
)
"""Where a service manager is told of us (systemd.unit(5), OpenWrt's procd)."""
UNIT_NAME: Final = "vedette"
NEW: Final = "it is new"
_COMPILED: Final = "__pycache__"

Listing = Callable[[], Iterable[str]]
"""Paths of files and folders, which may differ from call to call and need not exist."""


class OwnChange(NamedTuple):
    """One file that is not as it was; `kind` is a key of the listings."""

    kind: str
    path: str
    what: str


class OwnFiles:
    """Compares what is there with what was there at the last look.

    Args:
        listings: what to look at, by kind.
    """

    def __init__(self, listings: Mapping[str, Listing]) -> None:
        self._listings = listings
        self._known = self._look()

    def changed(self) -> list[OwnChange]:
        """What changed since the last look, or since this was made."""
        before, self._known = self._known, self._look()
        return [
            OwnChange(kind, path, what)
            for (kind, path) in sorted({*before, *self._known})
            if (what := _difference(before.get((kind, path)), self._known.get((kind, path))))
        ]

    def expect(self, kind: str) -> None:
        """Take what is there now of a kind as what has to be there: we changed it ourselves."""
        self._known = {
            **{key: value for key, value in self._known.items() if key[0] != kind},
            **{key: value for key, value in self._look().items() if key[0] == kind},
        }

    def _look(self) -> dict[tuple[str, str], os.stat_result | tuple[int, str]]:
        found: dict[tuple[str, str], os.stat_result | tuple[int, str]] = {}
        for kind, listing in self._listings.items():
            for path in listing():
                seen = _folder(path) if path.endswith("/") else _status(path)
                if seen is not None:
                    found[kind, path] = seen
        return found


def files(*paths: str) -> Listing:
    """These files; an empty path names none."""
    return lambda: [path for path in paths if path]


def units(folders: Iterable[str] = UNIT_FOLDERS) -> Listing:
    """The units of ours that a service manager would read, drop-ins and links to them included."""

    def listed() -> Iterator[str]:
        for folder in sorted({os.path.realpath(folder) for folder in folders}):
            for name in _names(folder):
                if UNIT_NAME in name:
                    path = f"{folder}/{name}"
                    is_folder = os.path.isdir(path)  # noqa: PTH112 - asked every look
                    yield f"{path}/" if is_folder else path

    return listed


def programs(top: str) -> Listing:
    """A folder of programs with all below it, each folder as one.

    What Python compiled of them is left out: whoever runs a command of ours may add to it.
    """

    def listed() -> Iterator[str]:
        for folder, below, _ in os.walk(top):
            below[:] = [name for name in below if name != _COMPILED]
            yield f"{folder}/"

    return listed


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - asked every look
    except OSError:
        return []


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _folder(path: str) -> tuple[int, str] | None:
    """One number for all that lies in a folder, and its file that was changed last."""
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return None
    newest = max(found, key=lambda one: one[1].st_ctime_ns, default=("", None))
    whole = frozenset((name, _identity(status)) for name, status in found if name != _COMPILED)
    return hash(whole), newest[0]


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Of a folder without size and times: what lies in it is compared by itself."""
    lasting = status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid
    if stat.S_ISDIR(status.st_mode):
        return lasting
    return (*lasting, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _difference(
    before: os.stat_result | tuple[int, str] | None, after: os.stat_result | tuple[int, str] | None
) -> str:
    if after is None:
        return "it was removed" if before is not None else ""
    if before is None:
        return NEW
    if isinstance(before, os.stat_result) and isinstance(after, os.stat_result):
        return _words(before, after)
    is_same = before[0] == after[0]
    return "" if is_same else f"what lies in it changed, {after[1] or 'a removal'} last"


def _words(before: os.stat_result, after: os.stat_result) -> str:
    """What differs, the weightiest first; "" where nothing does."""
    if _identity(before) == _identity(after):
        return ""
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
        return "another file lies in its place"
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return "its content was changed"
    if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        return f"its owner is uid {after.st_uid} now"
    if before.st_mode != after.st_mode:
        return f"its mode is {after.st_mode & 0o7777:04o} now"
    return "its attributes were changed, or its times set"
