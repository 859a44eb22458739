"""Names that differ at each run, made equal: what a profile holds instead of them.

Rule 1: conservative: a placeholder stands only for what its word says, never for "anything".
`{pid}` and `{n}` are numbers in /proc and /dev/fd, `{uid}` the number in /run/user, `{version}`
numbers joined by dots, and `{random}` a token of at least six letters and digits as mkstemp(3)
makes them, and only in folders that are emptied at each start.
Rule 2: `{random}` says nothing about a program, so one so named is known by its content alone.
Rule 3: no real path can pass for a placeholder: its braces are written `{brace}`.
"""

from __future__ import annotations

import re

TRANSIENT = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/")  # noqa: S108 (names only)

RANDOM = "{random}"

_PID = re.compile(r"/proc/[0-9]+(?=/|$)")
_DESCRIPTOR = re.compile(r"(/dev/fd|/proc/(?:self|\{pid\})/fd)/[0-9]+$")
_USER = re.compile(r"((?:/var)?/run/user)/[0-9]+(?=/|$)")
_VERSION = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+)+(?![0-9])")
_TOKEN = re.compile(r"(?<![A-Za-z0-9{])[A-Za-z0-9]{6,}(?![A-Za-z0-9}])")
_WORD = re.compile(r"[a-z]+|[A-Z]+|[a-z]*(?:[A-Z][a-z]+)+")
"""Small, large, or camelCase: somebody chose it."""


def generalise(path: str) -> str:
    """The name by which a profile knows a path; most paths stay as they are."""
    name = path.replace("{", "{brace}") if "{" in path else path
    if name.startswith(TRANSIENT):
        folder = next(folder for folder in TRANSIENT if name.startswith(folder))
        inside = _VERSION.sub("{version}", _USER.sub(r"\1/{uid}", name)[len(folder) :])
        return folder + _TOKEN.sub(_random, inside)
    if name.startswith(("/proc/", "/dev/fd/")):
        return _DESCRIPTOR.sub(r"\1/{n}", _PID.sub("/proc/{pid}", name, count=1))
    return _VERSION.sub("{version}", name)


def is_transient(name: str) -> bool:
    """Whether a program lies where any process may put one, or in memory alone."""
    return name.startswith((*TRANSIENT, "/memfd:", "memfd:", "/proc/", "/dev/fd/"))


def _random(match: re.Match[str]) -> str:
    token = match.group()
    return token if _WORD.fullmatch(token) else RANDOM
