"""A configuration file that somebody tampered with."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.simulators.file_state import file_state
from tests.simulators.good_files import MemoryBaseline, MemoryGoodCopies, record_of

from vedette.model.response import FileTarget, Target
from vedette.ports.responder import ResponderContext

GOOD = b"PermitRootLogin no\n"


class RestoreFileScene(Scene):
    """The good file has another owner, mode and attributes than what took its place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / "sshd_config"
        self._file.write_bytes(GOOD)
        self._file.chmod(0o640)
        os.chown(self._file, 0, 65534)
        self._baseline = MemoryBaseline(record_of(self._file))
        self._copies = MemoryGoodCopies()
        self._copies.take(self._file)
        self._good = file_state(self._file)
        self._file.unlink()
        self._file.write_bytes(b"PermitRootLogin yes\n")
        self._file.chmod(0o666)
        os.setxattr(self._file, "user.by", b"somebody")

    @classmethod
    def refusal(cls) -> str:
        return "" if os.geteuid() == 0 else "needs root, for owners"

    def equip(self, context: ResponderContext) -> ResponderContext:
        return replace(context, baseline=self._baseline, good_copies=self._copies)

    def target(self) -> Target:
        return FileTarget(str(self._file), "")

    def state(self) -> object:
        return {path.name: file_state(path) for path in self.folder.iterdir()}

    def is_contained(self) -> bool:
        found = file_state(self._file)._replace(atime_ns=self._good.atime_ns)
        return found == self._good

    def untouchable_paths(self) -> tuple[str, ...]:
        return (str(self.folder),)

    def replace(self) -> bool:
        """A folder with something in it takes its place."""
        self._file.unlink()
        self._file.mkdir()
        (self._file / "inside").write_bytes(b"precious")
        return True

    def is_replacement_untouched(self) -> bool:
        return (self._file / "inside").read_bytes() == b"precious"

    def reboot(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing but files in a throwaway folder."""


scene_class = RestoreFileScene
