"""What we change in the kernel's audit system: written down before, undone after.

Rule 1: the file is durable before the first change, so that SIGKILL at any moment leaves enough.
Rule 2: a rule is deleted by the exact bytes that added it; nobody else's is touched.
Rule 3: a status field is put back only if it still has the value we gave it.
Rule 4: what a living process changed is its own to undo.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec import audit_control as control
from vedette.codec.procfs import parse_stat
from vedette.errors import ParseError
from vedette.sensors._audit_link import AuditLink

FILE_NAME: Final = "audit.json"
FIELDS: Final = {
    "failure": control.STATUS_FAILURE,
    "backlog_limit": control.STATUS_BACKLOG_LIMIT,
    "backlog_wait_time": control.STATUS_BACKLOG_WAIT_TIME,
    "enabled": control.STATUS_ENABLED,
}
"""In this order they are put back: `enabled` last, when nothing of ours is left."""


class Saved(NamedTuple):
    """The content of the file.

    Attributes:
        pid: the process that changes audit.
        start_ticks: its start, proc(5) field 22, since a pid is used again.
        found: status fields as they were.
        given: status fields as we set them.
        rules: ours, as they are added.
    """

    pid: int
    start_ticks: int
    found: dict[str, int]
    given: dict[str, int]
    rules: list[bytes]


def save(run_dir: Path, found: control.Status, given: dict[str, int], rules: list[bytes]) -> Saved:
    """Write down what will be changed; durable on return.

    Raises:
        OSError: it cannot be written; nothing may be changed then.
    """
    saved = Saved(
        os.getpid(),
        _start_ticks(os.getpid()),
        {name: getattr(found, name) for name in FIELDS},
        given,
        rules,
    )
    _write(run_dir, saved)
    return saved


def extend(run_dir: Path, saved: Saved, rules: Iterable[bytes]) -> Saved:
    """Write down that these rules will be added too; durable on return.

    Raises:
        OSError: it cannot be written; nothing may be changed then.
    """
    more = saved._replace(rules=list(dict.fromkeys((*saved.rules, *rules))))
    _write(run_dir, more)
    return more


def _write(run_dir: Path, saved: Saved) -> None:
    encoded = [base64.b64encode(rule).decode() for rule in saved.rules]
    text = json.dumps(saved._asdict() | {"rules": encoded})
    path = run_dir / FILE_NAME
    temporary = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(run_dir: Path) -> Saved | None:
    """What was written down, or None where nothing was.

    Raises:
        OSError: the file is there and cannot be read.
        ParseError: it is not what `save` writes.
    """
    try:
        text = (run_dir / FILE_NAME).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    try:
        table = json.loads(text)
        return Saved(
            pid=int(table["pid"]),
            start_ticks=int(table["start_ticks"]),
            found={name: int(table["found"][name]) for name in FIELDS},
            given={name: int(table["given"][name]) for name in FIELDS},
            rules=[base64.b64decode(rule, validate=True) for rule in table["rules"]],
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ParseError(
            f"{run_dir / FILE_NAME}: expected what Vedette wrote before it changed audit, "
            f"got {error!r}; see `auditctl -l` for rules with our key and delete the file"
        ) from error


def is_alive(saved: Saved) -> bool:
    """Whether the process that made the changes still runs."""
    return _start_ticks(saved.pid) == saved.start_ticks


def difference(wanted: Iterable[bytes]) -> str:
    """What of our state in the kernel is not there any more, for people; "" where all is.

    Args:
        wanted: the rules that have to stand, as they are added.

    Raises:
        OSError: the audit system does not answer.
    """
    with AuditLink() as link:
        now = link.status()
        if now.pid != os.getpid():
            return f"audit's daemon slot belongs to pid {now.pid}" if now.pid else "audit's slot"
        if not now.enabled:
            return "audit was switched off"
        try:
            there = {control.parse_rule(rule) for rule in link.rules()}
            # The kernel gives exclusions back in other bytes; they tell of nothing anyway.
            ours = (parsed for rule in wanted if (parsed := control.parse_rule(rule)).key)
            missing = sum(rule not in there for rule in ours)
        except ParseError as error:
            return f"audit's rules cannot be read: {error}"
    return f"{missing} of our audit rules were deleted" if missing else ""


def undo(run_dir: Path, saved: Saved) -> list[str]:
    """Put everything back, then remove the file. Doing it twice changes nothing.

    Returns:
        One line for each thing put back.

    Raises:
        OSError: the audit system refused; the file stays for the next try.
    """
    with AuditLink() as link:
        deleted = sum([link.delete(rule) for rule in saved.rules])
        lines = [f"audit: deleted {deleted} rules of ours"] if deleted else []
        before = link.status()
        if before.pid and before.pid in (saved.pid, os.getpid()):
            # Also clears the slot of a dead owner: the kernel finds its socket gone.
            link.set(control.change(control.STATUS_PID, pid=0))
            lines.append(f"audit: gave back the daemon slot of pid {before.pid}")
        lines += _put_back(link, before, saved)
    (run_dir / FILE_NAME).unlink(missing_ok=True)
    return lines


def _put_back(link: AuditLink, now: control.Status, saved: Saved) -> list[str]:
    lines = []
    for name, mask in FIELDS.items():
        old, ours, current = saved.found[name], saved.given[name], getattr(now, name)
        if current == ours != old:
            link.set(control.change(mask, **{name: old}))
            lines.append(f"audit: {name} is {old} again (was {ours})")
    return lines


def _start_ticks(pid: int) -> int:
    """proc(5) field 22, 0 where the process is gone or has only to be waited for."""
    try:
        stat = parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (OSError, ParseError):
        return 0
    return 0 if stat.state in "ZX" else stat.start_ticks
