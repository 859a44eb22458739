"""A host beside the device, in network namespaces of their own."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.simulators import intruder
from tests.simulators.neighbours import DEVICE, PEER, Neighbours
from tests.simulators.network import enter

from vedette.model.response import PeerTarget, Target
from vedette.responses.block_peer import NAME


@cache
def home() -> int:
    """The namespace that the first scene began in: scenes may stand inside each other."""
    return os.open("/proc/self/ns/net", os.O_RDONLY)


class BlockPeerScene(Scene):
    """The suite's thread is on the device while the scene stands.

    Attributes:
        table: the nftables table of the responder.
    """

    table = NAME

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        enter(home())
        self._neighbours = Neighbours()
        enter(self._neighbours.device.fd)

    @classmethod
    def refusal(cls) -> str:
        return "" if os.geteuid() == 0 else "needs root, for network namespaces"

    def target(self) -> Target:
        return PeerTarget(PEER[0])

    def state(self) -> object:
        return self._neighbours.ruleset()

    def is_contained(self) -> bool:
        return not (self._neighbours.reaches(PEER[0]) or self._neighbours.reaches(DEVICE[0]))

    def take_away(self) -> bool:
        intruder.delete_table(os.getpid(), self.table)
        return True

    def reboot(self) -> bool:
        with contextlib.suppress(AssertionError):  # gone already with the socket that owned it
            intruder.delete_table(os.getpid(), self.table)
        return True

    def close(self) -> None:
        enter(home())
        self._neighbours.close()


scene_class = BlockPeerScene
