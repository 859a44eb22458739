"""Reads /proc/self/mountinfo (proc(5)): which file system is mounted where.

Rule: any bytes give a list of mounts or ParseError; mount points keep their order, in which a
later one hides an earlier one at the same place.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vedette.errors import ParseError

FIELDS_MIN: Final = (
    9  # proc(5): six fixed fields, the separator, type and source; options may be ""
)

PSEUDO: Final = frozenset(
    (
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
        "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs",
        "securityfs", "selinuxfs", "sysfs", "tracefs",
    )
)  # fmt: skip
"""Types of file systems that the kernel makes up."""
REMOTE: Final = frozenset(
    ("9p", "afs", "ceph", "cifs", "coda", "nfs", "nfs4", "smb3", "smbfs", "virtiofs")
)

_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount of this mount namespace.

    Attributes:
        device: "major:minor", as st_dev would say it.
        options: of the file system as a whole, joined by commas: those of a version 1 control group
            name its controllers.
    """

    mount_id: int
    device: str
    root: str
    point: str
    kind: str
    source: str
    is_read_only: bool
    options: str = ""


def is_remote(kind: str) -> bool:
    """Whether another host or a user's process answers for this type of file system."""
    return kind in REMOTE or kind == "fuse" or kind.startswith("fuse.")


def parse_mounts(data: bytes) -> list[Mount]:
    """Read the whole file.

    Raises:
        ParseError: a line does not have the fields of proc(5).
    """
    mounts: list[Mount] = []
    offset = 0
    for line in data.split(b"\n"):
        if line:
            mounts.append(_mount(line, offset))
        offset += len(line) + 1
    return mounts


def _mount(line: bytes, offset: int) -> Mount:
    fields = line.split(b" ")
    try:
        separator = fields.index(b"-", 6)
        kind, source = fields[separator + 1], fields[separator + 2]
        mount_id = int(fields[0])
    except (ValueError, IndexError) as error:
        raise ParseError(
            f"expected a line of mountinfo with at least {FIELDS_MIN} fields, got {line[:80]!r}",
            offset,
        ) from error
    return Mount(
        mount_id=mount_id,
        device=fields[2].decode("ascii", "replace"),
        root=_text(fields[3]),
        point=_text(fields[4]),
        kind=_text(kind),
        source=_text(source),
        is_read_only=b"ro" in fields[5].split(b","),
        options=_text(b" ".join(fields[separator + 3 :])),
    )


def _text(field: bytes) -> str:
    plain = _OCTAL.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field)
    return plain.decode("utf-8", "surrogateescape")
