"""What a running process holds, read from /proc by somebody else than itself; and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

TABLES = {
    "unix": "AF_UNIX", "netlink": "AF_NETLINK", "packet": "AF_PACKET",
    "tcp": "AF_INET", "udp": "AF_INET", "raw": "AF_INET",
    "tcp6": "AF_INET6", "udp6": "AF_INET6", "raw6": "AF_INET6",
}  # fmt: skip
"""Files of /proc/PID/net and the family of the sockets they list."""


def socket_families(pid: int) -> set[str]:
    """The address families of a process's sockets; "?" for one that no table lists."""
    known = _inodes(pid)
    families = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                families.add(known.get(match[1], "?"))
    return families


def processes_with(text: str) -> list[str]:
    """Command lines of all other processes that name a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def children(pid: int) -> dict[int, str]:
    """Command lines of a process's children by pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # proc(5): the name in brackets may hold anything, so count from its end.
            if int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == pid:
                line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(stat.parent.name)] = line.decode("utf-8", "replace").strip()
    return found


def open_files(pid: int) -> set[str]:
    """Paths of the regular files that a process holds open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return {path for path in found if path.startswith("/")}


def _inodes(pid: int) -> dict[str, str]:
    found = {}
    for table, family in TABLES.items():
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                columns = line.split()
                # The inode's column: unix 7th, netlink last, packet last, inet 10th.
                index = {"unix": 6, "netlink": -1, "packet": -1}.get(table, 9)
                if len(columns) > 6:
                    found[columns[index]] = family
    return found


def end(
    process: subprocess.Popen[bytes], deadline_s: float, number: signal.Signals = signal.SIGTERM
) -> int:
    """End a process by a signal and wait for it; returns its exit code.

    Raises:
        subprocess.TimeoutExpired: it did not end; it was killed then, and does not run any more.
    """
    process.send_signal(number)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
