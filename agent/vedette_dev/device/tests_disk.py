"""The disk that brings the attacks into a guest: an ext4 image with what `make attack` plays.

Rule 1: nothing of it is on a device: a firmware is tested as it is shipped.
Rule 2: it is small, and attached read-only; a guest mounts it by its label.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vedette_dev.device import ext4

LABEL = "vedette-tests"
PLACE = "/run/vedette-tests"
"""Where a guest mounts it."""
MOUNT = f"mkdir -p {PLACE} && mount -o ro -L {LABEL} {PLACE}"
PLAYER = (
    f"PYTHONPATH={PLACE} PYTHONDONTWRITEBYTECODE=1 "
    "/usr/lib/vedette/bin/python3 -m vedette_dev.device.in_guest"
)
"""With the agent's own Python, which has its packages."""
SIZE_BYTES = 24 << 20


def make(repository: Path, folder: Path, *, prepared: Path | None = None) -> Path:
    """Write the image below a folder.

    Args:
        repository: a clone.
        folder: gets the image and what it is made of.
        prepared: a folder that goes along as `prepared`.

    Returns:
        The image.

    Raises:
        DeviceError: it could not be made.
    """
    content, image = folder / "tests-disk", folder / "tests-disk.img"
    shutil.rmtree(content, ignore_errors=True)
    content.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.sh")
    shutil.copytree(repository / "agent/vedette_dev", content / "vedette_dev", ignore=ignored)
    shutil.copytree(repository / "tests/attacks", content / "tests/attacks", ignore=ignored)
    if prepared is not None:
        shutil.copytree(prepared, content / "prepared")
    for path in content.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    ext4.make(content, image, SIZE_BYTES, LABEL)
    return image
