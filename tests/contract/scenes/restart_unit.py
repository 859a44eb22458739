"""A unit of a real systemd, for restart_unit."""

from __future__ import annotations

from tests.contract.scenes.stop_unit import UnitScene


class RestartedScene(UnitScene):
    """Contained once another process does its work."""

    def state(self) -> object:
        return [*self.manager_states(), self.main_pid()]

    def manager_states(self) -> list[str]:
        return [self.manager.show(name, "ActiveState") for name in (self.unit, self.socket)]

    def is_contained(self) -> bool:
        return self.manager_states()[0] == "active" and self.main_pid() not in {0, self.began}

    def take_away(self) -> bool:
        return False

    def reboot(self) -> bool:
        return False


scene_class = RestartedScene
