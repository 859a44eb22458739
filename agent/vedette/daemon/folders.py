"""The folders that belong to the agent alone.

Rule: nobody else may look into them or have made them: who could plant a file there could steer a
process of root.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vedette.errors import DeviceError

PRIVATE = 0o700
PASSAGE = 0o711
"""Others may pass to a socket that is theirs by name, and list nothing."""


def prepare(path: str, key: str, *, mode: int = PRIVATE) -> Path:
    """Make a folder, or check that the one there is ours and give it this mode.

    Args:
        path: absolute.
        key: of the configuration, such as "[paths] run", for messages.
        mode: PRIVATE or PASSAGE.

    Raises:
        DeviceError: it cannot be made, or belongs to somebody else.
    """
    folder = Path(path)
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise DeviceError(
                f"{path}: expected a folder of uid {os.geteuid()}, got "
                f"{stat.filemode(status.st_mode)} of uid {status.st_uid}; "
                f"remove it, or set {key} to another folder"
            )
        if stat.S_IMODE(status.st_mode) != mode:
            folder.chmod(mode)
    except OSError as error:
        raise DeviceError(
            f"{path}: cannot be used ({error.strerror}); run as root, or set {key} to a folder "
            "that you may write to"
        ) from error
    return folder
