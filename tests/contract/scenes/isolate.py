"""A device with a host beside it, in network namespaces of their own."""

from __future__ import annotations

from tests.contract.scenes.block_peer import BlockPeerScene

from vedette.model.response import DeviceTarget, Target
from vedette.responses._isolation_rules import NAME


class IsolateScene(BlockPeerScene):
    """As for a blocked peer; all that it sees of the network is that host."""

    table = NAME

    def target(self) -> Target:
        return DeviceTarget()


scene_class = IsolateScene
