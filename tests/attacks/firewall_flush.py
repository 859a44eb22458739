"""Empties the firewall, in a network of the throwaway root's own.

ATT&CK T1562.004 (T1686 of the newer matrix). Cleanup: the network ends with the root.
"""

from __future__ import annotations

import shutil

from vedette.errors import DeviceError
from vedette_dev.enclosure import PATH
from vedette_dev.stage import Stage

TECHNIQUE = "T1562.004"
EXPECTS = ("attack.t1562.004", "attack.t1686")
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    if shutil.which("nft", path=PATH) is None:
        raise DeviceError("nft is missing: sudo apt-get install nftables")
    table = stage.word()
    commands = f"nft add table inet {table}\nnft flush ruleset"
    return stage.type(commands, has_own_network=True)
