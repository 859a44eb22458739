"""Ends the services that let others in, and rivals, the way a worm keeps a device to itself.

Programs of such names run in the throwaway root, drawn from what the rules know.
ATT&CK T1489. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Drawn, Stage

TECHNIQUE = "T1489"
EXPECTS = ("attack.t1489",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    rival = stage.draw(
        "process_creation", "CommandLine", operators=("contains",), where=_is_rival
    ).match.value
    return stage.type(
        f"cp /bin/sleep /opt/{rival}\n/opt/{rival} {LINGER_S} &\nbusybox killall -9 {rival}"
    )


def _is_rival(drawn: Drawn) -> bool:
    return "attack.t1489" in drawn.rule.tags and drawn.match.value.isalpha()
