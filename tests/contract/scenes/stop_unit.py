"""A unit of a real systemd with the socket that starts it, for stop_unit."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import tempfile
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.system._systemd import Systemd, refusal, systemd

from vedette.model.response import UnitTarget

UNITS = {
    "scene@.service": "[Unit]\nDescription=a scene\n[Service]\nExecStart=/bin/sleep 1000\n",
    "scene@.socket": "[Unit]\nDescription=a scene\n[Socket]\nListenStream=/run/scene-%i.sock\n",
}
NUMBERS = itertools.count(1)


@functools.cache
def manager(pid: int) -> Systemd:
    """One for all scenes of this process, whose children must not end it."""
    running = contextlib.ExitStack()
    folder = running.enter_context(tempfile.TemporaryDirectory(prefix="vedette-systemd-"))
    found = running.enter_context(systemd(Path(folder), UNITS))
    atexit.register(lambda: running.close() if os.getpid() == pid else None)
    return found


class UnitScene(Scene):
    """`unit` runs; its socket does too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.manager = manager(os.getpid())
        number = next(NUMBERS)
        self.unit, self.socket = f"scene@{number}.service", f"scene@{number}.socket"
        self.options = {"systemctl": str(self.manager.program)}
        self.manager.do("start", self.socket)
        self.manager.do("start", self.unit)
        self.began = self.main_pid()

    @classmethod
    def refusal(cls) -> str:
        return refusal()

    def main_pid(self) -> int:
        return int(self.manager.show(self.unit, "MainPID"))

    def target(self) -> UnitTarget:
        return UnitTarget(self.unit)

    def state(self) -> object:
        return [self.manager.show(name, "ActiveState") for name in (self.unit, self.socket)]

    def is_contained(self) -> bool:
        return self.state() == ["inactive", "inactive"]

    def untouchable_pids(self) -> frozenset[int]:
        return frozenset({self.main_pid()})

    def vanish(self) -> bool:
        self.manager.do("stop", self.socket)
        self.manager.do("stop", self.unit)
        self.manager.run("ln", "-s", "/dev/null", f"/etc/units/{self.unit}")
        self.manager.run("systemctl", "daemon-reload")
        return True

    def take_away(self) -> bool:
        self.manager.do("start", self.unit)
        return True

    def reboot(self) -> bool:
        """What is enabled is up again."""
        self.manager.do("start", self.socket)
        self.manager.do("start", self.unit)
        return True

    def close(self) -> None:
        self.manager.run("systemctl", "stop", self.socket, self.unit)


scene_class = UnitScene
