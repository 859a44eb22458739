"""A tree of processes to be frozen."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from tests.contract.scenes._processes import ProcessScene, group

SECOND: Final = Path("/sys/fs/cgroup/unified")
ONLY: Final = Path("/sys/fs/cgroup")


class FreezeScene(ProcessScene):
    def is_contained(self) -> bool:
        """Two live and are silent, and all are where they were or below."""
        return not self.is_over() and not any(self.answers())

    def take_away(self) -> bool:
        folder = frozen_group(self._root.pid)
        if folder is None:
            return False
        (folder / "cgroup.freeze").write_text("0")
        return True

    def reboot(self) -> bool:
        folders = {frozen_group(pid) for pid in self.tree}
        self.vanish()
        for folder in folders - {None}:
            assert folder is not None
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
        return True


def frozen_group(pid: int) -> Path | None:
    """The group of version 2 that a process was put into."""
    path = group(pid).rpartition("0::")[2].partition("\n")[0]
    mount = SECOND if SECOND.exists() else ONLY
    return mount / path[1:] if "vedette-held-" in path else None


scene_class = FreezeScene
