"""What /proc and the disk say of the processes and files of an incident, now.

Rule 1: the start time decides whether a pid still is the process that was meant; of another one
nothing is told.
Rule 2: nothing is executed, followed or waited for: a fifo, a device or a link is only described.
Rule 3: contents are sent of programs and scripts alone, cut at MAX_CONTENT_BYTES: what else a file
holds may be a person's, or a secret that no pattern knows.
Rule 4: what cannot be read is left out; evidence of a running attack is never complete.
"""

from __future__ import annotations

import contextlib
import os
import stat
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path

from vedette.codec.addresses import address_text
from vedette.codec.ocsf import whole
from vedette.codec.sock_diag import SocketRecord
from vedette.codec.strict_json import Json
from vedette.daemon import facts
from vedette.errors import ParseError
from vedette.model.process import ProcessKey
from vedette.sensors._proc_net import read_table

MAX_OPEN_FILES = 64
MAX_CONNECTIONS = 64
MAX_XATTRS = 32
MAX_CONTENT_BYTES = 64 << 10
_PROGRAMS = (b"\x7fELF", b"#!")
_TABLES = ("tcp", "tcp6", "udp", "udp6")

Redact = Callable[[str], str]


def process(key: ProcessKey, redact: Redact) -> dict[str, Json]:
    """A running process; "is_running" alone is False where it has ended or is another one."""
    found = facts.lookup(key.pid)
    if found is None or (key.start_ticks and found.start_ticks != key.start_ticks):
        return {"pid": key.pid, "start": key.start_ticks, "is_running": False}
    links = list(_open_files(key.pid))
    files: list[Json] = [whole(link) for link in links if not link.startswith("socket:")]
    return {
        "pid": key.pid,
        "start": found.start_ticks,
        "is_running": True,
        "ppid": found.ppid,
        "uid": found.uid,
        "image": whole(found.image),
        "command_line": redact(whole(found.command_line)),
        "cwd": whole(found.cwd),
        "unit": facts.unit_of(key.pid),
        "open_files": files[:MAX_OPEN_FILES],
        "connections": _connections(key.pid, links),
    }


def file(path: str, digest_of: Callable[[str], str], redact: Redact) -> dict[str, Json]:
    """A file as it lies there; "is_there" alone is False where it does not.

    Args:
        digest_of: SHA-256 of a path in hex, or "".
        redact: takes secrets out of scripts.
    """
    try:
        info = os.lstat(path)
    except (OSError, ValueError):
        return {"path": whole(path), "is_there": False}
    described: dict[str, Json] = {
        "path": whole(path),
        "is_there": True,
        "mode": stat.filemode(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "size": info.st_size,
        "inode": info.st_ino,
        "mtime_ns": info.st_mtime_ns,
        "ctime_ns": info.st_ctime_ns,
    }
    if stat.S_ISLNK(info.st_mode):
        with contextlib.suppress(OSError):
            described["links_to"] = whole(os.readlink(path))  # noqa: PTH115
    elif stat.S_ISREG(info.st_mode):
        described["sha256"] = digest_of(path)
        described["xattrs"] = _xattrs(path)
        described |= _content(path, redact)
    return described


def _open_files(pid: int) -> Iterable[str]:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder))[: MAX_OPEN_FILES + MAX_CONNECTIONS]:  # noqa: PTH208
            with contextlib.suppress(OSError):
                yield os.readlink(f"{folder}/{name}")  # noqa: PTH115


def _connections(pid: int, links: Iterable[str]) -> list[Json]:
    """The sockets of a process, as its own network namespace lists them."""
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    found: list[Json] = []
    for table in _TABLES if inodes else ():
        with contextlib.suppress(OSError, ParseError):
            records = read_table(Path(f"/proc/{pid}/net/{table}"))
            found += [_plain(table, record) for record in records if str(record.inode) in inodes]
    return found[:MAX_CONNECTIONS]


def _plain(table: str, record: SocketRecord) -> Json:
    return {
        "protocol": table.removesuffix("6"),
        "state": record.state,
        "local": address_text(record.local),
        "local_port": record.local_port,
        "remote": address_text(record.remote),
        "remote_port": record.remote_port,
    }


def _xattrs(path: str) -> list[Json]:
    with contextlib.suppress(OSError):
        return [whole(name) for name in os.listxattr(path, follow_symlinks=False)[:MAX_XATTRS]]
    return []


def _content(path: str, redact: Redact) -> dict[str, Json]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {}
    with os.fdopen(fd, "rb", buffering=0) as stream:
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return {}
            head = stream.read(MAX_CONTENT_BYTES) or b""
        except OSError:
            return {}
    if not head.startswith(_PROGRAMS):
        return {}
    if head.startswith(b"#!"):
        head = redact(head.decode("utf-8", "replace")).encode()
    return {"content": b64encode(head).decode()}
