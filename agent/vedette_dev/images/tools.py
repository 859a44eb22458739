"""Runs the programs that build images; what fails is told with the log and its last lines.

Rule: each has a deadline, and its whole group is ended with it: mmdebstrap has children.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.calls import too_slow
from vedette_dev.children import mortal

TIMEOUT_S = 300.0
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PACKAGES = {
    "chroot": "coreutils",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "debugfs": "e2fsprogs",
    "grub-mkimage": "grub-common",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "sfdisk": "fdisk",
    "socat": "socat",
    "zstd": "zstd",
}
_TAIL_LINES = 8


def find(program: str) -> str:
    """Where a program is.

    Raises:
        DeviceError: it is not installed.
    """
    found = shutil.which(program, path=_PATH)
    if found is None:
        package = _PACKAGES.get(program, program)
        raise DeviceError(f"{program} is missing: apt-get install {package}")
    return found


def run(
    argv: Sequence[str | Path],
    log: Path,
    *,
    given: str = "",
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
) -> None:
    """Run a program to its end; what it says is appended to the log.

    Raises:
        DeviceError: it is missing, takes too long, or does not end with 0.
    """
    words = [find(str(argv[0])), *map(str, argv[1:])]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            mortal(words), stdin=subprocess.PIPE, stdout=stream, stderr=stream,
            start_new_session=True,
            cwd=working_folder,
            env={**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8", **(environment or {})},
        )  # fmt: skip
        try:
            process.communicate(given.encode(), timeout_s)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _failed(argv, too_slow(timeout_s), log) from error
            raise
    if process.returncode:
        raise _failed(argv, f"left with {process.returncode}", log)


def _failed(argv: Sequence[str | Path], how: str, log: Path) -> DeviceError:
    lines = log.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:]
    tail = "\n".join(f"    {line}" for line in lines)
    return DeviceError(f"{argv[0]} {how}; {log} ends with:\n{tail}")
