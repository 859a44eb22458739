"""A tree of processes to be killed."""

from __future__ import annotations

from tests.contract.scenes._processes import ProcessScene


class KillScene(ProcessScene):
    def is_contained(self) -> bool:
        return self.is_over()


scene_class = KillScene
