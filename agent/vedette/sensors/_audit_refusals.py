"""Why the audit system cannot be used here, in words a person can act on."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from vedette.codec import audit_control as control
from vedette.errors import ParseError, SensorError

_REASONS: Final[Mapping[int, str]] = {
    errno.EPERM: "not allowed; it needs CAP_AUDIT_CONTROL in the first pid and user namespace",
    errno.ECONNREFUSED: "the kernel answers only in the first user namespace, and unless audit=0",
    errno.EPROTONOSUPPORT: "the kernel has no audit; it needs CONFIG_AUDIT and CONFIG_AUDITSYSCALL",
    errno.EEXIST: "another process took the daemon slot",
    errno.EINVAL: "this kernel does not know our rules; it needs CONFIG_AUDITSYSCALL",
}


def check_usable(status: control.Status) -> None:
    """Refuse what would harm the device or somebody else.

    Raises:
        SensorError: with what to do about it.
    """
    if status.enabled == control.ENABLED_IMMUTABLE:
        raise SensorError(
            "audit: expected settings that can be changed, got enabled=2 (immutable until reboot); "
            "take `-e 2` out of the audit rules and reboot"
        )
    if status.failure == control.FAILURE_PANIC:
        raise SensorError(
            "audit: expected failure=0 or 1, got 2: the kernel would panic when a record is lost; "
            "set `auditctl -f 1`"
        )
    if status.pid and Path(f"/proc/{status.pid}").exists():
        raise SensorError(_owner(status.pid))


def _owner(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = "unknown"
    return (
        f"audit: expected a free daemon slot, got one owned by pid {pid} ({name}); stop it "
        "(systemctl disable --now auditd) or be content with the next tier"
    )


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what the audit system answers into a SensorError with its cause."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        raise SensorError(f"audit: {reason}") from error
    except ParseError as error:
        raise SensorError(f"audit: {error}") from error
