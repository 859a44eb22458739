"""The root of a small Debian, made once with mmdebstrap and kept in build/, for enclosures.

Rule 1: it comes from the package sources of this host; none is named here.
Rule 2: without mmdebstrap, root or sources there is none, and enclosures show the host's /usr.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from vedette_dev.images import tools

PACKAGES = (
    "acl", "at", "attr", "auditd", "binutils", "busybox", "ca-certificates", "cron", "curl",
    "dmidecode", "e2fsprogs", "ed", "file", "iproute2", "iptables", "iputils-ping", "kmod",
    "libcap2-bin", "lsof", "net-tools", "netcat-openbsd", "nftables", "openssh-client",
    "openssh-server", "openssl", "pciutils", "perl", "procps", "psmisc", "python3-minimal",
    "rsyslog", "socat", "sudo", "systemd", "tcpdump", "vim-tiny", "wget", "xxd", "zip",
)  # fmt: skip
"""What intruders use and what they change; a program that is missing cannot be seen to be run."""
TIMEOUT_S = 900.0
_DONE = ".complete"
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


def base_root(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The base below this folder, made when it is missing.

    Returns:
        None where it cannot be made here; the reason is said.

    Raises:
        DeviceError: making it failed.
    """
    base = folder / "debian"
    if (folder / _DONE).exists():
        return base
    why_not = refusal()
    if why_not:
        say(f"base      none ({why_not}): commands find the programs of this host only")
        return None
    say("base      a small Debian is made with mmdebstrap (about a minute, 330 MB, once)")
    shutil.rmtree(base, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    bootstrap(base, PACKAGES, folder / "mmdebstrap.log")
    shutil.rmtree(base / "var/cache", ignore_errors=True)
    (folder / _DONE).touch()
    return base


def bootstrap(into: Path, packages: Sequence[str], log: Path) -> None:
    """Make a Debian with these packages.

    Args:
        into: a folder, or a file that ends in .tar.
        log: gets what mmdebstrap says.

    Raises:
        DeviceError: making it failed, or took too long.
    """
    sources = [source for source in _SOURCES if Path(source).exists()]
    tools.run(
        [*mmdebstrap(), "--variant=minbase", f"--include={','.join(packages)}",
         suite(), into, *sources],
        log, timeout_s=TIMEOUT_S,
    )  # fmt: skip


def mmdebstrap() -> tuple[str, ...]:
    """The command, whose mounts are in a namespace of their own and end with it.

    Who is not root gets one of users, too: only a .tar keeps its owners then.
    """
    if os.geteuid() != 0:
        return ("mmdebstrap", "--mode=unshare")
    return ("unshare", "--mount", "--propagation", "private", "--", "mmdebstrap", "--mode=root")


def refusal(*, is_packed: bool = False) -> str:
    """Why this machine can make none, or "".

    Args:
        is_packed: it is to be a .tar, for which nobody has to be root.
    """
    if os.geteuid() != 0 and not is_packed:
        return "only root can make one"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is missing: apt-get install mmdebstrap"
    if not any(Path(source).exists() for source in _SOURCES):
        return "no package sources of Debian in /etc/apt"
    return ""


def suite() -> str:
    """The release of Debian that this machine runs."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return "stable"
