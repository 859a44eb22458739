"""`python -m tests.powercut.player STORY FOLDER`: plays a story under the recorder."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from tests.powercut import story


def main(name: str, folder: Path) -> None:
    """Play it; marks go into the record between the operations."""
    recorder = ctypes.CDLL(None)

    def mark(text: str) -> None:
        recorder.recorded_disk_mark(text.encode())

    story.load(name).play(folder, mark)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
