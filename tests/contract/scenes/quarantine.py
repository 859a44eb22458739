"""A dropped program of another user, with all that a file can have."""

from __future__ import annotations

import os
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.simulators.file_state import file_state

from vedette.model.response import FileTarget, Target

CAPABILITY = bytes.fromhex("01000002000400000000" + "00" * 10)


class QuarantineScene(Scene):
    """The file lies on the file system of the responder's folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / "dropped"
        self._file.write_bytes(b"\x7fELF dropped")
        os.chown(self._file, 65534, 65534)
        os.setxattr(self._file, "user.origin", b"http://192.0.2.1/")
        os.setxattr(self._file, "security.capability", CAPABILITY)
        self._file.chmod(0o4751)

    @classmethod
    def refusal(cls) -> str:
        return "" if os.geteuid() == 0 else "needs root, for owners and capabilities"

    def target(self) -> Target:
        return FileTarget(str(self._file), "")

    def state(self) -> object:
        return {path.name: file_state(path) for path in self.folder.iterdir()}

    def is_contained(self) -> bool:
        return not any(self.folder.iterdir())

    def untouchable_paths(self) -> tuple[str, ...]:
        return (str(self.folder),)

    def vanish(self) -> bool:
        self._file.unlink()
        return True

    def replace(self) -> bool:
        """A link that leads to something precious takes its place."""
        self._file.rename(self.folder / "precious")
        self._file.symlink_to(self.folder / "precious")
        return True

    def is_replacement_untouched(self) -> bool:
        precious = self.folder / "precious"
        return self._file.is_symlink() and precious.stat().st_mode & 0o7777 == 0o4751

    def reboot(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing but files in a throwaway folder."""


scene_class = QuarantineScene
