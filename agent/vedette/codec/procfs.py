"""Files of /proc about one process (proc(5)).

Rule: a process chooses its own name, arguments and paths; none of them can shift another field.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vedette.errors import ParseError

_STAT_FIELDS_AFTER_NAME: Final = 20
"""proc(5): state is field 3, start time field 22."""
_STAT_FIELDS_TO_LAYOUT: Final = 49
"""proc(5): env_end is field 51."""
_PF_KTHREAD: Final = 0x0020_0000
_UNIT_SUFFIXES: Final = (".service", ".scope", ".socket", ".mount", ".timer")


class Stat(NamedTuple):
    """Fields of /proc/PID/stat.

    Attributes:
        start_ticks: field 22, clock ticks since boot.
        group, session: fields 5 and 6, inherited at birth; -1 once it has ended.
        flags: field 9, PF_* of linux/sched.h.
    """

    pid: int
    name: str
    state: str
    ppid: int
    start_ticks: int
    group: int
    session: int
    flags: int

    @property
    def is_kernel_thread(self) -> bool:
        """PF_KTHREAD is set: no program, and no signal ends it."""
        return bool(self.flags & _PF_KTHREAD)


def parse_stat(data: bytes) -> Stat:
    """Read /proc/PID/stat.

    Raises:
        ParseError: it is cut, or a number is none.
    """
    # The name may hold any character, parentheses too: only the last one ends it.
    opening, closing = data.find(b" ("), data.rfind(b") ")
    if opening < 0 or closing < opening:
        raise ParseError(f"/proc/PID/stat: expected `pid (name) state`, got {data[:40]!r}")
    fields = data[closing + 2 :].split()
    if len(fields) < _STAT_FIELDS_AFTER_NAME:
        raise ParseError(
            f"/proc/PID/stat: expected at least 22 fields, got {len(fields) + 2}", len(data)
        )
    return Stat(
        pid=_number(data[:opening], 0),
        name=data[opening + 2 : closing].decode("utf-8", "surrogateescape"),
        state=fields[0].decode("ascii", "replace"),
        ppid=_number(fields[1], closing),
        start_ticks=_number(fields[19], closing),
        group=_id(fields[2], closing),
        session=_id(fields[3], closing),
        flags=_number(fields[6], closing),
    )


class Layout(NamedTuple):
    """Where an exec put a program in memory, by chance; whoever was forked from it has the same.

    Fields 26, 28, 48 and 51 of /proc/PID/stat.
    """

    code: int
    stack: int
    arguments: int
    environment_end: int


def parse_layout(data: bytes) -> Layout | None:
    """Read it from /proc/PID/stat; None where it is withheld or there is none (a kernel thread).

    Raises:
        ParseError: it is cut, or a number is none.
    """
    fields = data[data.rfind(b") ") + 2 :].split()
    if len(fields) < _STAT_FIELDS_TO_LAYOUT:
        raise ParseError(f"/proc/PID/stat: expected 51 fields, got {len(fields) + 2}", len(data))
    found = Layout(*(_number(fields[number - 3], 0) for number in (26, 28, 48, 51)))
    return found if found.stack and found.arguments else None


def parse_cmdline(data: bytes) -> tuple[str, str]:
    """Read /proc/PID/cmdline: arguments that end with a zero byte each.

    Args:
        data: as read, possibly only its beginning.

    Returns:
        The first argument, and all of them joined by single spaces; both "" for a kernel thread or
        a process that is ending.
    """
    # A process may overwrite its arguments and leave out the last zero.
    text = data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
    return text.partition("\0")[0], text.replace("\0", " ")


def parse_arguments(data: bytes) -> str:
    """The arguments of /proc/PID/cmdline joined by NUL, "" where spaces tell them apart as well."""
    text = data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
    return text if " " in text else ""


def parse_uids(status: bytes) -> tuple[int, int]:
    """Real and effective uid from /proc/PID/status (line Uid).

    Raises:
        ParseError: there is no such line, or no numbers in it.
    """
    start = status.find(b"\nUid:")
    if start < 0:
        raise ParseError("/proc/PID/status: expected a line Uid:, got none", len(status))
    line = status[start + 5 :].partition(b"\n")[0]
    fields = line.split()
    if len(fields) != 4:  # noqa: PLR2004 - real, effective, saved, file system
        raise ParseError(f"/proc/PID/status: expected four uids, got {line[:60]!r}", start)
    return _number(fields[0], start), _number(fields[1], start)


def parse_cgroup(data: bytes) -> str:
    """The systemd unit, or "" where there is none, from /proc/PID/cgroup.

    Only the form of the path is judged: whoever may make cgroups may also name them.
    """
    for part in reversed(cgroup_path(data).split("/")):
        if part.endswith(_UNIT_SUFFIXES):
            return part
    return ""


def cgroup_path(data: bytes) -> str:
    """The path in /proc/PID/cgroup: version 2's, else that of systemd's or the first hierarchy.

    Returns "" where there is none; whatever stands in other lines is ignored (cgroups(7)).
    """
    best, rank = "", 0
    for line in data.split(b"\n"):
        hierarchy, _, rest = line.partition(b":")
        controllers, separator, path = rest.partition(b":")
        if not separator:
            continue
        found = 3 if hierarchy == b"0" else 2 if controllers == b"name=systemd" else 1
        text = path.decode("utf-8", "surrogateescape")
        # A hybrid system mounts version 2 too, with everything in its root.
        if found > rank and (text != "/" or not best):
            best, rank = text, found
    return best


def cgroup_in(data: bytes, controller: str) -> str:
    """The path in /proc/PID/cgroup of the hierarchy that has this controller.

    Args:
        data: as read.
        controller: such as "freezer", "" for version 2.

    Returns:
        It begins with "/"; "" where the process is in no such hierarchy (cgroups(7)).
    """
    wanted = controller.encode()
    for line in data.split(b"\n"):
        hierarchy, _, rest = line.partition(b":")
        controllers, separator, path = rest.partition(b":")
        is_wanted = wanted in controllers.split(b",") if wanted else hierarchy == b"0"
        if separator and is_wanted and path.startswith(b"/"):
            return path.decode("utf-8", "surrogateescape")
    return ""


def _id(text: bytes, offset: int) -> int:
    return -1 if text == b"-1" else _number(text, offset)


def _number(text: bytes, offset: int) -> int:
    if not text.isdigit() or len(text) > 20:  # noqa: PLR2004 - 64 bits in decimal
        raise ParseError(f"/proc: expected a number, got {text[:30]!r}", offset)
    return int(text)
