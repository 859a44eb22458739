"""Which firmware this device runs: what a profile was learnt on, and is judged on alone."""

from __future__ import annotations

from pathlib import Path

from vedette.codec.os_release import firmware_of

FILES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
"""os-release(5): the second is read only where the first does not exist."""
MAX_BYTES = 64 << 10


def firmware(configured: str, files: tuple[Path, ...] = FILES) -> str:
    """The configured name and version, else that of os-release(5); "" where nothing tells."""
    if configured:
        return configured
    for file in files:
        try:
            with file.open("rb") as stream:
                return firmware_of(stream.read(MAX_BYTES).decode("utf-8", "replace"))
        except FileNotFoundError:
            continue
        except OSError:
            return ""
    return ""
