"""What may run on this device, put together from configuration, signed profile and baseline.

Rule 1: what nobody signed denies nothing: without a signed profile in force, unknown programs are
only observed, whatever the configuration says.
Rule 2: what a device needs to be reached and mended is essential, and never denied.
Rule 3: everything here reads the disk: call it in a thread.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from vedette.daemon.config import Deny
from vedette.model.baseline import FileRecord
from vedette.model.denial import (
    ALLOW_UNKNOWN,
    ANY_SIZE,
    DENY_UNKNOWN,
    OBSERVE_UNKNOWN,
    Lists,
)
from vedette.model.profile import Profile
from vedette.ports.baseline import Baseline
from vedette.sensors._filesystems import filesystems_of, read_mounts
from vedette.sensors._trees import Trees

UNKNOWN: Final = {"allow": ALLOW_UNKNOWN, "observe": OBSERVE_UNKNOWN, "deny": DENY_UNKNOWN}

ESSENTIAL: Final = (
    "/proc/1/exe", "/proc/self/exe", "/sbin/init", "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd-executor", "/bin/sh", "/bin/bash", "/bin/dash", "/bin/ash",
    "/bin/busybox", "/bin/kill", "/bin/mount", "/bin/umount", "/sbin/reboot", "/sbin/getty",
    "/sbin/agetty", "/bin/login", "/usr/sbin/sshd", "/usr/lib/openssh/sshd-session",
    "/usr/sbin/dropbear",
)  # fmt: skip
"""Start, log in, look, end a process, mount, restart."""
LOADERS: Final = ("/lib*/ld-*.so*", "/lib/*/ld-*.so*", "/usr/lib*/ld-*.so*", "/usr/lib/*/ld-*.so*")
"""Every dynamic program begins with the execution of its loader."""


class Found(NamedTuple):
    """Lists, and in words what is not as the configuration wants it."""

    lists: Lists
    problems: tuple[str, ...]


def build(deny: Deny, profile: Profile | None, baseline: Baseline) -> Found:
    """The lists as they are to be now.

    Args:
        profile: the signed one in force, or None.

    Raises:
        OSError: /proc is not mounted.
        StoreError: the baseline cannot be read.
    """
    filesystems, problems = filesystems_of(Trees(deny.trees), read_mounts())
    unknown = UNKNOWN[deny.unknown]
    if unknown == DENY_UNKNOWN and profile is None:
        unknown = OBSERVE_UNKNOWN
        problems.append(
            "unknown programs are observed, not denied: no signed profile is in force; have one "
            "signed (vedette learn, vedette profile sign)"
        )
    allowed: frozenset[tuple[int, bytes]] = frozenset()
    paths: frozenset[str] = frozenset()
    if unknown != ALLOW_UNKNOWN:
        allowed = frozenset(_allowed(profile, baseline))
        paths = _paths_without_content(profile)
    lists = Lists(
        unknown=unknown,
        allowed=allowed,
        allowed_paths=paths,
        essential=essential(deny.essential),
        watched=frozenset(found.directory for found in filesystems),
    )
    return Found(lists, tuple(problems))


def essential(configured: tuple[str, ...] = ()) -> frozenset[str]:
    """The real paths of what may never be denied, as far as it is there."""
    loaders = [path for pattern in LOADERS for path in glob.glob(pattern)]  # noqa: PTH207
    named = (*ESSENTIAL, *configured, sys.executable, *loaders)
    return frozenset(path for path in map(_real_file, named) if path)


def _real_file(path: str) -> str:
    """Without links, or "" where there is no regular file."""
    try:
        real = os.path.realpath(path)  # of /proc/1/exe it may be forbidden
        return real if stat.S_ISREG(os.stat(real).st_mode) else ""  # noqa: PTH116
    except OSError:
        return ""


def _allowed(profile: Profile | None, baseline: Baseline) -> Iterator[tuple[int, bytes]]:
    """Programs of the baseline, and those of the profile that it does not know by content."""
    known: set[str] = set()
    for record in baseline.paths(""):
        if _is_program(record):
            known.add(record.digest)
            yield record.size_bytes, bytes.fromhex(record.digest)
    for program in profile.learnt.programs if profile else ():
        for digest in program.digests:
            if digest not in known:
                yield ANY_SIZE, bytes.fromhex(digest)


def _is_program(record: FileRecord) -> bool:
    return record.kind == "file" and bool(record.mode & 0o111) and bool(record.digest)


def _paths_without_content(profile: Profile | None) -> frozenset[str]:
    if profile is None:
        return frozenset()
    return frozenset(one.path for one in profile.learnt.programs if not one.digests)
