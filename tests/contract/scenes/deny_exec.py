"""A program on a file system of its own, and a holder that is asked about it alone.

The ban outlives its file and follows its content, so nothing here goes away or takes its place:
tests/system/test_holder.py has what happens then.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.simulators import exec_theatre
from tests.simulators.exec_theatre import Theatre

from vedette.model.response import FileTarget


class DenyExecScene(Scene):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._theatre = Theatre(folder)
        self.options = {"socket": str(self._theatre.socket)}
        self._program = self._theatre.program("target")
        self._neighbour = self._theatre.program("neighbour", tail=b"another content")

    @classmethod
    def refusal(cls) -> str:
        return exec_theatre.refusal()

    def target(self) -> FileTarget:
        digest = hashlib.sha256(self._program.read_bytes()).hexdigest()
        return FileTarget(str(self._program), digest)

    def state(self) -> object:
        status = self._program.stat()
        return (
            status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns,
            self._program.read_bytes(), exec_theatre.runs(self._program),
        )  # fmt: skip

    def is_contained(self) -> bool:
        assert exec_theatre.runs(self._neighbour)
        return not exec_theatre.runs(self._program)

    def untouchable_paths(self) -> tuple[str, ...]:
        return (str(self._theatre.mount_point),)

    def take_away(self) -> bool:
        self._theatre.restart()
        return True

    def reboot(self) -> bool:
        self._theatre.restart()
        return True

    def close(self) -> None:
        self._theatre.close()


scene_class = DenyExecScene
