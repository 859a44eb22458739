"""Which paths are watched: trees as real paths, and what matters on the way to them.

Rule 1: the kernel tells real paths, so a watched link is followed once, here, and never again.
Rule 2: a directory above a tree matters only for the one name that leads there: renaming or
removing it takes the whole tree away.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A directory in which events matter.

    `prefix` is its path with a slash at the end. `names` holds the only names that matter there,
    or is None where all do. `above` holds those of them that merely lead to a tree: only their
    coming and going matters.
    """

    prefix: str
    names: frozenset[str] | None
    above: frozenset[str]


class Trees:
    """The watched trees, each a directory or a single file that need not exist yet.

    Args:
        watch: absolute paths; a relative one is refused.

    Raises:
        ValueError: there is nothing to watch, or a path is not absolute.
    """

    def __init__(self, watch: Sequence[str]) -> None:
        for path in watch:
            if not path.startswith("/"):
                raise ValueError(f"expected absolute paths to watch, got {path!r}")
        if not watch:
            raise ValueError("expected at least one tree to watch, got none: set [watch] paths")
        self.roots = _outermost({real_path(path) for path in watch})
        self._leading = _leading_names(self.roots)

    def covers(self, path: str) -> bool:
        """Whether a real path is at or below a watched tree."""
        return any(path == root or path.startswith(_slashed(root)) for root in self.roots)

    def place(self, directory: str) -> Place | None:
        """What matters in a directory, given by its real path; None if nothing does."""
        if self.covers(directory):
            return Place(_slashed(directory), None, frozenset())
        names = self._leading.get(directory)
        if names is None:
            return None
        prefix = _slashed(directory)
        return Place(prefix, names, frozenset(n for n in names if prefix + n not in self.roots))

    def above(self) -> list[str]:
        """The directories above the trees, outermost first."""
        return sorted(path for path in self._leading if not self.covers(path))


def real_path(path: str) -> str:
    """A path without links, dots and doubled slashes; what does not exist is kept as it is."""
    return os.path.realpath(path)


def nearest_existing(path: str) -> str:
    """The path itself or the closest directory above it that exists."""
    while not os.path.lexists(path):
        path = str(Path(path).parent)
    return path


def _slashed(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _outermost(paths: set[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(paths, key=_slashed):
        if not kept or not path.startswith(_slashed(kept[-1])):
            kept.append(path)
    return tuple(kept)


def _leading_names(roots: Sequence[str]) -> dict[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for root in roots:
        path = root
        while path != "/":
            path, name = os.path.split(path)
            names.setdefault(path, set()).add(name)
    return {path: frozenset(found) for path, found in names.items()}
